package gateway

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// query is what a request's query gives, by the fields' names in JSON.
type query map[string][]string

// get returns a parameter's value, or "".
func (q query) get(name string) string {
	if values := q[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// populate sets the request's fields that the query gives.
func (q query) populate(req proto.Message) error {
	return runtime.PopulateQueryParameters(req, url.Values(q), utilities.NewDoubleArray(nil))
}

// parameters returns the fields of a request that its query may set, by their names in JSON: those
// that neither the path nor the body sets. The mux reads none beside a body that is all of the request;
// two parameters count there nevertheless: etag, and dryRun of an import, whose body may be a document.
func parameters(r *route) map[string]protoreflect.FieldDescriptor {
	all := map[string]protoreflect.FieldDescriptor{}
	for i := range r.input.Fields().Len() {
		fd := r.input.Fields().Get(i)
		inPath := slices.Contains(r.segments, "{"+string(fd.Name())+"}")
		inBody := r.body == string(fd.Name()) || r.body == "*" && fd.Name() != "etag" &&
			!(r.rpc == catalogv1.CatalogService_ImportCatalog_FullMethodName && fd.Name() == "dry_run")
		if !inPath && !inBody {
			all[fd.JSONName()] = fd
		}
	}
	return all
}

// readQuery reads a query as strictly as a body: it returns a violation for each parameter that the
// route does not have, that is there twice, or whose text is no value of its field.
func (r *route) readQuery(raw string) (query, []errs.Violation) {
	if raw == "" {
		return nil, nil
	}
	given, err := url.ParseQuery(raw)
	var found errs.Violations
	if err != nil {
		found.Addf("query", errs.ReasonMalformed, "is not properly escaped")
	}
	read := query{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		fd := r.parameter(name)
		if fd == nil {
			found.Addf(strings.ToValidUTF8(wire.Shorten(name), "\uFFFD"), errs.ReasonUnknownField,
				"is not a parameter of this route%s", rpc.Instead(name, slices.Collect(maps.Keys(r.params))))
			continue
		}
		field := fd.JSONName()
		if _, twice := read[field]; twice || len(given[name]) > 1 && !fd.IsList() {
			found.Addf(field, errs.ReasonDuplicateField, "is given more than once")
		}
		read[field] = append(read[field], given[name]...)
		for _, value := range given[name] {
			r.checkParameter(&found, fd, name, value)
		}
	}
	return read, found
}

// parameter returns the field of a parameter, which has the name of JSON or of proto, or nil.
func (r *route) parameter(name string) protoreflect.FieldDescriptor {
	if fd := r.params[name]; fd != nil {
		return fd
	}
	if fd := r.input.Fields().ByTextName(name); fd != nil {
		return r.params[fd.JSONName()]
	}
	return nil
}

func (r *route) checkParameter(found *errs.Violations, fd protoreflect.FieldDescriptor, name, value string) {
	before := len(*found)
	found.Encoding(fd.JSONName(), value)
	if len(*found) > before {
		return
	}
	if fd.Name() == "etag" && !isVisible(value) { // it is passed on as a header
		found.Addf(fd.JSONName(), errs.ReasonMalformed, "must be the etag of the resource")
		return
	}
	into, err := r.newInput()
	if err != nil {
		return // no such type: the call itself fails
	}
	if runtime.PopulateQueryParameters(into, url.Values{name: {value}}, utilities.NewDoubleArray(nil)) != nil {
		found.Addf(fd.JSONName(), wire.Wrong(fd, value), "%s", wire.Expected(fd))
	}
}

func (r *route) newInput() (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(r.input.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}

// checkPath returns a violation for each parameter in the path that no field can hold.
func (x *exchange) checkPath() []errs.Violation {
	var found errs.Violations
	for _, name := range slices.Sorted(maps.Keys(x.params)) {
		fd := x.route.input.Fields().ByName(protoreflect.Name(name))
		value := x.params[name]
		if fd.Kind() == protoreflect.StringKind {
			if strings.IndexByte(value, 0) >= 0 || !utf8.ValidString(value) {
				found.Encoding(fd.JSONName(), value)
			}
			continue
		}
		into, err := x.route.newInput()
		if err == nil && runtime.PopulateFieldFromPath(into, name, value) != nil {
			found.Addf(fd.JSONName(), wire.Wrong(fd, value), "%s", wire.Expected(fd))
		}
	}
	return found
}
