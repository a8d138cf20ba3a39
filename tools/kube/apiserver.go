package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiServer is a client of the few requests that `kubectl apply --server-side` is made of.
type apiServer struct {
	address, token string
	client         *http.Client
	// resources are those of a group and a version, once they were asked for.
	resources map[string][]resource
}

// resource is where the objects of a kind live.
type resource struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Namespaced bool   `json:"namespaced"`
}

// document is one manifest, as it is sent and as it is understood here.
type document struct {
	text []byte
	manifest
}

// reply is the response of the API server.
type reply struct {
	status   int
	warnings []string
	body     object
}

func newAPIServer(address, token string, certificate []byte) *apiServer {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	return &apiServer{
		address: address,
		token:   token,
		client: &http.Client{
			Timeout:   30 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}},
		},
		resources: map[string][]resource{},
	}
}

// documents takes a stream of manifests apart.
func documents(text []byte) ([]document, error) {
	var found []document
	for part := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---\n")) {
		m, err := manifestOf(part)
		if err != nil {
			return nil, err
		}
		d := document{text: part, manifest: m}
		if d.Kind != "" {
			found = append(found, d)
		}
	}
	return found, nil
}

// ready returns why the API server is not ready; nil when it is.
func (s *apiServer) ready(ctx context.Context) error {
	a, err := s.do(ctx, http.MethodGet, "/readyz", nil, nil)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("/readyz: %d", a.status)
	}
	return err
}

// apply applies a manifest as strictly as can be: a field that is unknown, or there twice, is an
// error. A try changes nothing.
func (s *apiServer) apply(ctx context.Context, d document, try bool) (reply, error) {
	query := url.Values{"fieldManager": {"preceptor"}, "fieldValidation": {"Strict"}}
	if try {
		query.Set("dryRun", "All")
	}
	path, err := s.path(ctx, d.manifest)
	if err != nil || path == "" {
		return unknownKind(d.manifest), err
	}
	return s.do(ctx, http.MethodPatch, path, query, d.text)
}

// get reads what is stored of a manifest.
func (s *apiServer) get(ctx context.Context, m manifest) (reply, error) {
	path, err := s.path(ctx, m)
	if err != nil || path == "" {
		return unknownKind(m), err
	}
	return s.do(ctx, http.MethodGet, path, nil, nil)
}

// admit asks whether a pod would be let in, which is not stored.
func (s *apiServer) admit(ctx context.Context, namespace string, pod object) (reply, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return reply{}, err
	}
	query := url.Values{"fieldValidation": {"Strict"}, "dryRun": {"All"}}
	return s.do(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", query, text)
}

func unknownKind(m manifest) reply {
	return reply{status: http.StatusNotFound, body: object{"message": "there is no kind " + m.Kind + " in " + m.APIVersion}}
}

// path is where an object lives, or "" if the API server does not know its kind.
func (s *apiServer) path(ctx context.Context, m manifest) (string, error) {
	group := "/apis/" + m.APIVersion
	if !strings.Contains(m.APIVersion, "/") {
		group = "/api/" + m.APIVersion
	}
	known, err := s.resourcesOf(ctx, group)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(known, func(r resource) bool { return r.Kind == m.Kind && !strings.Contains(r.Name, "/") })
	switch {
	case i < 0:
		return "", nil
	case known[i].Namespaced:
		return group + "/namespaces/" + m.Metadata.Namespace + "/" + known[i].Name + "/" + m.Metadata.Name, nil
	default:
		return group + "/" + known[i].Name + "/" + m.Metadata.Name, nil
	}
}

// resourcesOf asks once, but again for a group that was not there yet.
func (s *apiServer) resourcesOf(ctx context.Context, group string) ([]resource, error) {
	if s.resources[group] != nil {
		return s.resources[group], nil
	}
	a, err := s.do(ctx, http.MethodGet, group, nil, nil)
	if err != nil || a.status != http.StatusOK {
		return nil, err
	}
	text, err := json.Marshal(a.body["resources"])
	if err != nil {
		return nil, err
	}
	var found []resource
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, err
	}
	s.resources[group] = found
	return found, nil
}

// serves reports whether a group has all the resources by now.
func (s *apiServer) serves(ctx context.Context, group string, names []string) (bool, error) {
	delete(s.resources, group)
	known, err := s.resourcesOf(ctx, group)
	for _, name := range names {
		if !slices.ContainsFunc(known, func(r resource) bool { return r.Name == name }) {
			return false, err
		}
	}
	return true, err
}

func (s *apiServer) do(ctx context.Context, method, path string, query url.Values, body []byte) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.address+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/apply-patch+yaml")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	a := reply{status: response.StatusCode, warnings: warnings(response.Header)}
	if json.Unmarshal(text, &a.body) != nil {
		a.body = object{"message": string(text)} // of /readyz, or of a proxy
	}
	return a, nil
}

// warnings are the texts of headers such as `299 - "text"`.
func warnings(h http.Header) []string {
	values := h.Values("Warning")
	found := make([]string, 0, len(values))
	for _, value := range values {
		if _, quoted, ok := strings.Cut(value, `"`); ok {
			if text, err := strconv.Unquote(`"` + quoted); err == nil {
				value = text
			}
		}
		found = append(found, value)
	}
	return found
}

// faults are what the API server has against a request: it refused it, or warned.
func (a reply) faults() []string {
	var f faults
	if a.status >= http.StatusMultipleChoices {
		f.addf("refused (%d): %v", a.status, a.body["message"])
	}
	for _, w := range a.warnings {
		f.addf("warning: %s", w)
	}
	return f
}

// content is the object without the API server's own books: a claim, for one, is stored anew when it
// is applied again, and nothing about it is different.
func (a reply) content() object {
	content := maps.Clone(a.body)
	delete(content, "status")
	if metadata, ok := content["metadata"].(object); ok {
		metadata = maps.Clone(metadata)
		delete(metadata, "resourceVersion")
		delete(metadata, "managedFields")
		content["metadata"] = metadata
	}
	return content
}
