package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// route is one REST route, from its RPC's google.api.http option.
type route struct {
	method   string // GET
	template string // /v1/modules/{module_id}:publish
	rpc      string // /preceptor.catalog.v1.CatalogService/PublishModule
	input    protoreflect.MessageDescriptor
	body     string // "", "*" or a field of input
	segments []string
	verb     string // publish
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

// match returns the parameters in the segments of a path, the last of which has the
// verb, or nil if the path is not the route's.
func (r *route) match(path []string) map[string]string {
	if len(path) != len(r.segments) {
		return nil
	}
	params := map[string]string{}
	for i, want := range r.segments {
		got := path[i]
		if i == len(path)-1 && r.verb != "" {
			var found bool
			if got, found = strings.CutSuffix(got, ":"+r.verb); !found || got == "" {
				return nil
			}
		}
		if name, ok := strings.CutPrefix(want, "{"); ok {
			params[strings.TrimSuffix(name, "}")] = got
		} else if got != want {
			return nil
		}
	}
	return params
}

// routeTable finds routes. Those with a verb come first: "{module_id}" would match
// "hipaa:publish".
type routeTable []*route

// files returns the files that declare the API.
func files() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{
		profilev1.File_preceptor_profile_v1_profile_proto,
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
	slices.SortStableFunc(table, func(a, b *route) int { return len(b.verb) - len(a.verb) })
	return table, nil
}

func newRoute(method protoreflect.MethodDescriptor, rule *annotations.HttpRule) (*route, error) {
	r := &route{
		rpc:   "/" + string(method.Parent().FullName()) + "/" + string(method.Name()),
		input: method.Input(),
		body:  rule.GetBody(),
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
	return r, nil
}

func splitPath(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// find returns the route and the parameters of its path, or else the methods that
// the path has.
func (t routeTable) find(method, path string) (found *route, params map[string]string, allow []string) {
	segments := splitPath(path)
	for _, r := range t {
		p := r.match(segments)
		switch {
		case p == nil:
		case r.method == method:
			return r, p, nil
		case !slices.Contains(allow, r.method):
			allow = append(allow, r.method)
		}
	}
	if slices.Contains(allow, http.MethodGet) {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	return nil, nil, allow
}
