package gateway

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strconv"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// openapi.json is generated from proto/ and gen/openapi; the page in docs is not.
//
//go:generate go run ./openapigen
//go:embed openapi.json docs
var embedded embed.FS

// placeholderVersion is the version in the generated openapi.json.
const placeholderVersion = `"version": "0.0.0"`

// page is one file of the site.
type page struct {
	content string
	body    []byte
	target  string // of a redirect
}

// newSite returns the pages of the embedded files, and the API's descriptors, by path.
func newSite(version string) (map[string]page, error) {
	api, err := embedded.ReadFile("openapi.json")
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if version != "" {
		quoted, err := json.Marshal(version)
		if err != nil {
			return nil, fmt.Errorf("gateway: version: %w", err)
		}
		api = bytes.Replace(api, []byte(placeholderVersion), append([]byte(`"version": `), quoted...), 1)
	}
	descriptors, err := newDescriptors()
	if err != nil {
		return nil, err
	}
	site := map[string]page{
		"/":             {target: "/docs"},
		"/docs/":        {target: "/docs"},
		"/openapi.json": {content: wire.ContentType, body: api},
		descriptorsPath: {content: contentProtobuf, body: descriptors},
	}
	entries, err := embedded.ReadDir("docs")
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	for _, entry := range entries {
		body, err := embedded.ReadFile("docs/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("gateway: %w", err)
		}
		at := "/docs/" + entry.Name()
		if entry.Name() == "index.html" {
			at = "/docs"
			body = bytes.Replace(body, []byte(reasonsMark), reasonsHTML(errs.Meanings()), 1)
		}
		site[at] = page{content: mediaOf(entry.Name()), body: body}
	}
	return site, nil
}

// mediaOf returns a file's media type. It does not ask the system for those that systems disagree on.
func mediaOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

// servePage serves one page. Its policy allows it to load from and call nothing but this
// server.
func (g *Gateway) servePage(w http.ResponseWriter, r *http.Request, p page) {
	if r.Method != http.MethodGet {
		g.fail(w, r, noRoute(r, notFound{allow: []string{http.MethodGet, http.MethodHead}}))
		return
	}
	h := w.Header()
	if p.target != "" {
		h.Set("Location", p.target)
		w.WriteHeader(http.StatusFound)
		return
	}
	h.Set("Content-Type", p.content)
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	h.Set("Cache-Control", "public, no-cache")
	h.Set("Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	_, _ = w.Write(p.body)
}
