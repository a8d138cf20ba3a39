package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// route is one REST route, from its RPC's google.api.http option.
type route struct {
	method   string // GET
	template string // /v1/modules/{module_id}:publish
	rpc      string // /preceptor.catalog.v1.CatalogService/PublishModule
	input    protoreflect.MessageDescriptor
	output   protoreflect.MessageDescriptor
	body     string // "", "*" or a field of input
	// responseBody is the field of output that responses have; "" for all of it.
	responseBody string
	segments     []string
	verb         string                                  // publish
	params       map[string]protoreflect.FieldDescriptor // of the query, by their names in JSON
	creates      bool                                    // takes an Idempotency-Key
	tickets      bool                                    // takes a ticket instead of a token
}

// bodyType returns the body's message type, or nil if the route takes no body.
func (r *route) bodyType() protoreflect.MessageDescriptor {
	switch r.body {
	case "":
		return nil
	case "*":
		return r.input
	default:
		return r.input.Fields().ByName(protoreflect.Name(r.body)).Message()
	}
}

// match returns the parameters in the segments of a path and its verb, or nil if the path is not the route's.
func (r *route) match(path []string, verb string) map[string]string {
	if len(path) != len(r.segments) || r.verb != verb {
		return nil
	}
	for i, want := range r.segments { // of most routes, a segment differs
		if got := path[i]; got != want && (got == "" || !strings.HasPrefix(want, "{")) {
			return nil
		}
	}
	params := map[string]string{}
	for i, want := range r.segments {
		if name, ok := strings.CutPrefix(want, "{"); ok {
			params[strings.TrimSuffix(name, "}")] = path[i]
		}
	}
	return params
}

// routeTable finds routes.
type routeTable []*route

// files returns the files that declare the API.
func files() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{
		profilev1.File_preceptor_profile_v1_profile_proto,
		profilev1.File_preceptor_profile_v1_cohorts_proto,
		catalogv1.File_preceptor_catalog_v1_catalog_proto,
		progressv1.File_preceptor_progress_v1_progress_proto,
		auditv1.File_preceptor_audit_v1_audit_proto,
	}
}

// methods returns all RPCs of the services.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, file := range files() {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
	}
	return all
}

// newRoutes returns the table of the routes in the services' descriptors.
func newRoutes() (routeTable, error) {
	var table routeTable
	for _, method := range methods() {
		rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
		if !ok || rule == nil {
			continue // called by services only
		}
		r, err := newRoute(method, rule)
		if err != nil {
			return nil, err
		}
		table = append(table, r)
	}
	return table, nil
}

func newRoute(method protoreflect.MethodDescriptor, rule *annotations.HttpRule) (*route, error) {
	r := &route{
		rpc:    "/" + string(method.Parent().FullName()) + "/" + string(method.Name()),
		input:  method.Input(),
		output: method.Output(),
		body:   rule.GetBody(), responseBody: rule.GetResponseBody(),
	}
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.method, r.template = http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		r.method, r.template = http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		r.method, r.template = http.MethodPut, p.Put
	case *annotations.HttpRule_Patch:
		r.method, r.template = http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		r.method, r.template = http.MethodDelete, p.Delete
	default:
		return nil, fmt.Errorf("gateway: %s has an HTTP rule of an unknown kind", r.rpc)
	}
	path := r.template
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		path, r.verb = path[:i], path[i+1:]
	}
	r.segments = splitPath(path)
	r.params = parameters(r)
	if access, ok := proto.GetExtension(method.Options(), accessv1.E_Access).(*accessv1.Access); ok {
		r.creates, r.tickets = access.GetIdempotentCreate(), access.GetTicket()
	}
	return r, nil
}

func splitPath(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// readPath returns the segments of a path, unescaped, and the custom method after the last colon. It
// reports false for a path that no route has: with an escaped slash or colon, which separate nothing.
func readPath(u *url.URL) (segments []string, verb string, ok bool) {
	segments = splitPath(u.EscapedPath())
	last := &segments[len(segments)-1]
	if i := strings.LastIndexByte(*last, ':'); i >= 0 {
		*last, verb = (*last)[:i], (*last)[i+1:]
		if verb == "" {
			return nil, "", false
		}
	}
	for i, s := range segments {
		text, err := url.PathUnescape(s)
		if err != nil || strings.ContainsAny(text, "/:") {
			return nil, "", false
		}
		segments[i] = text
	}
	return segments, verb, true
}

// notFound is what a path has where it has no route.
type notFound struct {
	allow []string // its methods
	verb  string   // the custom method that was asked for
	verbs []string // the custom methods of the resource, where it has not that one
}

// find returns the route and the parameters of its path, or else what the path has.
func (t routeTable) find(method string, u *url.URL) (found *route, params map[string]string, missing notFound) {
	segments, verb, ok := readPath(u)
	if !ok {
		return nil, nil, missing
	}
	for _, r := range t {
		p := r.match(segments, verb)
		switch {
		case p == nil:
			if verb != "" && r.match(segments, r.verb) != nil {
				missing.verb = verb
				missing.verbs = append(missing.verbs, r.verb)
			}
		case r.method == method:
			return r, p, notFound{}
		case !slices.Contains(missing.allow, r.method):
			missing.allow = append(missing.allow, r.method)
		}
	}
	if slices.Contains(missing.allow, http.MethodGet) {
		missing.allow = append(missing.allow, http.MethodHead)
	}
	slices.Sort(missing.allow)
	return nil, nil, missing
}

// noRoute returns the error of a path, or a method, that does not exist.
func noRoute(r *http.Request, has notFound) error {
	verbs := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(has.verbs))), func(v string) bool { return v == "" })
	switch {
	case len(has.allow) > 0:
		return methodError{has.allow}
	case has.verb != "":
		verb, there := wire.Shorten(strings.ToValidUTF8(has.verb, "\uFFFD")), "there are none here"
		if len(verbs) > 0 {
			there = "there are :" + strings.Join(verbs, ", :")
		}
		return errs.New(errs.NotFound, errs.ReasonRouteNotFound, "there is no custom method :%s here; %s", verb, there)
	case strings.Contains(strings.ToLower(r.URL.EscapedPath()), "%2f"):
		return errs.New(errs.NotFound, errs.ReasonRouteNotFound, "nothing is served here: an escaped slash is no separator")
	default:
		return errs.New(errs.NotFound, errs.ReasonRouteNotFound, "nothing is served at %s", wire.Shorten(strings.ToValidUTF8(r.URL.Path, "\uFFFD")))
	}
}

// methodError is an error that lists the methods of a path.
type methodError struct{ allow []string }

func (e methodError) Error() string {
	return fmt.Sprintf("this path takes only %s", strings.Join(e.allow, ", "))
}
