package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
	_ "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"    // its RPCs are attacked
	_ "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"  // its RPCs are attacked
	_ "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1" // its RPCs are attacked
)

// rpc is one RPC of the API, as its options in proto/ have it.
type rpc struct {
	// name is as gRPC spells it: "/preceptor.progress.v1.ProgressService/ListEvents".
	name      string
	input     protoreflect.MessageDescriptor
	output    protoreflect.MessageDescriptor
	access    *accessv1.Access
	streams   bool
	aboutWhom bool // whether the request has a learner_id

	// Of the route: "" for an RPC that services alone call. body is "", "*" or a field.
	method, path, body string
}

// rpcs returns all of them, by name.
func rpcs() []rpc {
	var all []rpc
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "preceptor.") {
			return true
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				all = append(all, rpcOf(methods.Get(j)))
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b rpc) int { return strings.Compare(a.name, b.name) })
	return all
}

func rpcOf(m protoreflect.MethodDescriptor) rpc {
	r := rpc{
		name:  fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()),
		input: m.Input(), output: m.Output(), streams: m.IsStreamingServer(), aboutWhom: m.Input().Fields().ByName("learner_id") != nil,
	}
	r.access, _ = proto.GetExtension(m.Options(), accessv1.E_Access).(*accessv1.Access)
	h, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	r.body = h.GetBody()
	for method, path := range map[string]string{
		http.MethodGet: h.GetGet(), http.MethodPost: h.GetPost(), http.MethodPatch: h.GetPatch(), http.MethodDelete: h.GetDelete(),
	} {
		if path != "" {
			r.method, r.path = method, path
		}
	}
	return r
}

// short is the name without its package.
func (r rpc) short() string { return r.name[strings.LastIndexByte(r.name, '/')+1:] }

// admits reports whether the option of the RPC admits somebody with a role, about themselves or another.
func (r rpc) admits(role string, self bool) bool {
	byRole := slices.ContainsFunc(r.access.GetRoles(), func(a accessv1.Access_Role) bool { return strings.EqualFold(a.String(), role) })
	return byRole || r.access.GetSelf() && self
}

// at is the route's path with values in place of its parameters.
func (r rpc) at(values map[string]string) string {
	path := r.path
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

// empty returns an empty message of the type that the generated code has for a descriptor.
func empty(of protoreflect.MessageDescriptor) (proto.Message, error) {
	found, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		return nil, err
	}
	return found.New().Interface(), nil
}

// generator makes bodies that routes accept, or nearly, from the descriptors of their messages.
type generator struct {
	dice   *rand.Rand
	module string // of an existing module
	path   string // of an existing path
}

// bodyOf returns a body for a route; nil where it takes none.
func (g *generator) bodyOf(r rpc) any {
	switch r.body {
	case "":
		return nil
	case "*":
		return g.message(r.input, 0, func(fd protoreflect.FieldDescriptor) bool {
			return strings.Contains(r.path, "{"+string(fd.Name())+"}")
		})
	default:
		return g.message(r.input.Fields().ByName(protoreflect.Name(r.body)).Message(), 0, nil)
	}
}

// message returns a message as JSON has it, without the fields that skip names and without some others.
func (g *generator) message(md protoreflect.MessageDescriptor, depth int, skip func(protoreflect.FieldDescriptor) bool) any {
	switch md.FullName() {
	case "google.protobuf.Timestamp":
		// Some day that is past, the same with the same seed.
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(g.dice.IntN(1e6)) * time.Second).Format(time.RFC3339)
	case "google.protobuf.FieldMask":
		return "title"
	}
	out := map[string]any{}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		always := depth > 0 && fd.Name() == "id" || fd.Name() == "title" || fd.Name() == "topic" || fd.Name() == "reason" || fd.Name() == "events" || fd.Name() == "files" ||
			strings.HasSuffix(string(fd.Name()), "_id") || fd.Name() == "verb" || fd.Name() == "occurred_at"
		if skip != nil && skip(fd) || depth > 4 || !always && g.dice.IntN(3) == 0 || g.readOnly(fd) || depth == 0 && fd.Name() == "id" {
			continue
		}
		switch {
		case fd.IsMap():
		case fd.IsList():
			n := 1 + g.dice.IntN(3)
			list := make([]any, n)
			for j := range list {
				list[j] = g.value(fd, depth)
			}
			if fd.Kind() == protoreflect.StringKind || fd.Kind() == protoreflect.EnumKind {
				list = list[:1] // no duplicates
			}
			out[fd.JSONName()] = list
		default:
			out[fd.JSONName()] = g.value(fd, depth)
		}
	}
	return out
}

// readOnly reports whether requests leave a field to the server, or to chance that is no good.
func (g *generator) readOnly(fd protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_OUTPUT_ONLY) ||
		slices.Contains([]protoreflect.Name{"etag", "fixed_date", "voids_event_id", "prerequisites", "credits", "equivalents", "dry_run", "subjects"}, fd.Name())
}

func (g *generator) value(fd protoreflect.FieldDescriptor, depth int) any {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return g.message(fd.Message(), depth+1, nil)
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return string(values.Get(min(1+g.dice.IntN(max(1, values.Len()-1)), values.Len()-1)).Name())
	case protoreflect.BoolKind:
		return g.dice.IntN(2) == 0
	case protoreflect.StringKind:
		return g.text(fd)
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return float64(1+g.dice.IntN(99)) / 100
	case protoreflect.Int64Kind, protoreflect.Uint64Kind:
		return fmt.Sprint(g.dice.IntN(100))
	case protoreflect.BytesKind:
		return "YWJj"
	default:
		return 1 + g.dice.IntN(2)
	}
}

// text is a text of a field: what its name asks for, else what its rules do.
func (g *generator) text(fd protoreflect.FieldDescriptor) string {
	known := map[protoreflect.Name]string{
		"module_id": g.module, "module_ids": g.module, "path_id": g.path, "learner_id": noID, "topic": "attack", "level": "FOUNDATION",
		"duration": "PT10M", "period": "P1Y", "window": "P30D", "grace": "P14D", "time_zone": "Europe/Berlin", "locale": "en",
		"email": "a@example.org", "content_uri": "https://example.org/a", "service": "progress", "unit_id": "u0", "content": "modules: []\n",
	}
	if v, ok := known[fd.Name()]; ok {
		return v
	}
	rules, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
	if fd.IsList() {
		rules = rules.GetRepeated().GetItems()
	}
	s := rules.GetString()
	switch {
	case len(s.GetIn()) > 0:
		return s.GetIn()[g.dice.IntN(len(s.GetIn()))]
	case s.GetUuid(), fd.Name() == "event_id":
		return g.uuid()
	case s.GetPattern() != "":
		return fmt.Sprintf("thing-%d", g.dice.IntN(1e6))
	}
	return fmt.Sprintf("Text %d", g.dice.IntN(1e6))
}

// uuid is as random as the dice.
func (g *generator) uuid() string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(g.dice.IntN(256))
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

// noID is the id of nothing.
const noID = "00000000-0000-4000-8000-000000000000"

// sortedKeys are a map's keys in an order that repeats with the seed.
func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
