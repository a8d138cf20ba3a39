package rpc

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// maskField is the field of violations of a mask.
const maskField = "updateMask"

// Mask is which fields of an entity an update changes, each as a path of fields.
type Mask [][]protoreflect.FieldDescriptor

// ReadMask returns the fields that an update's mask names, as JSON or as proto spells them: all that can
// change for "*", without those that must be named, and, as AIP-134 has it, those set in the entity when
// there is no mask. It returns Invalid with a violation for each path that names no field, one that no
// update changes, or one twice. Without a mask the fixed ones are left out: a client may send back what
// it read.
func ReadMask(mask *fieldmaskpb.FieldMask, entity proto.Message, mustBeNamed ...protoreflect.Name) (Mask, error) {
	m := entity.ProtoReflect()
	switch {
	case len(mask.GetPaths()) == 0:
		var out Mask
		m.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			if !IsFixed(field) {
				out = append(out, []protoreflect.FieldDescriptor{field})
			}
			return true
		})
		return out, nil
	case slices.Equal(mask.GetPaths(), []string{"*"}):
		var out Mask
		for _, field := range settable(m.Descriptor()) {
			if !slices.Contains(mustBeNamed, field.Name()) {
				out = append(out, []protoreflect.FieldDescriptor{field})
			}
		}
		return out, nil
	}
	var out Mask
	var bad errs.Violations
	for _, path := range mask.GetPaths() {
		fields := readPath(&bad, m.Descriptor(), path)
		if slices.ContainsFunc(out, func(had []protoreflect.FieldDescriptor) bool { return fields != nil && slices.Equal(had, fields) }) {
			bad.Addf(maskField, errs.ReasonDuplicateField, "%s is named twice", quoted(path))
		}
		if fields != nil {
			out = append(out, fields)
		}
	}
	return out, bad.Err()
}

// readPath returns the fields that a path leads over, or nil and a violation. The elements of a list
// have no path.
func readPath(bad *errs.Violations, md protoreflect.MessageDescriptor, path string) []protoreflect.FieldDescriptor {
	var fields []protoreflect.FieldDescriptor
	names := strings.Split(path, ".")
	for i, name := range names {
		var field protoreflect.FieldDescriptor
		if md != nil {
			field = fieldByName(md, name)
		}
		if field == nil {
			bad.Addf(maskField, errs.ReasonUnknownField, "%s is not a field%s", quoted(path), Instead(name, settableNames(md)))
			return nil
		}
		fields = append(fields, field)
		md = nil
		if field.Message() != nil && field.Cardinality() != protoreflect.Repeated {
			md = field.Message()
		}
		if IsFixed(field) && i == len(names)-1 {
			bad.Addf(maskField, errs.ReasonNotSettable, "%s cannot be changed", quoted(path))
			return nil
		}
	}
	return fields
}

// quoted returns a path that a client chose, bounded.
func quoted(path string) string { return strconv.Quote(path[:min(len(path), maxCompared)]) }

// Names reports whether the mask names the field, or a part of it.
func (m Mask) Names(field protoreflect.Name) bool {
	return slices.ContainsFunc(m, func(path []protoreflect.FieldDescriptor) bool { return path[0].Name() == field })
}

// Merge copies the fields of the mask from one message to another of the same type. A field that is not
// set clears.
func (m Mask) Merge(to, from proto.Message) {
	for _, path := range m {
		merge(to.ProtoReflect(), from.ProtoReflect(), path)
	}
}

func merge(to, from protoreflect.Message, path []protoreflect.FieldDescriptor) {
	field := path[0]
	switch {
	case len(path) > 1:
		merge(to.Mutable(field).Message(), from.Get(field).Message(), path[1:])
	case from.Has(field):
		to.Set(field, from.Get(field))
	default:
		to.Clear(field)
	}
}

func fieldByName(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := md.Fields().ByJSONName(name); field != nil {
		return field
	}
	return md.Fields().ByName(protoreflect.Name(name))
}

// settable returns the fields that an update may change.
func settable(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	var fields []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		if field := md.Fields().Get(i); !IsFixed(field) {
			fields = append(fields, field)
		}
	}
	return fields
}

// settableNames returns their names in JSON; none for no message.
func settableNames(md protoreflect.MessageDescriptor) []string {
	if md == nil {
		return nil
	}
	var names []string
	for _, field := range settable(md) {
		names = append(names, field.JSONName())
	}
	return names
}

// IsFixed reports whether no update changes a field: only the service sets it, or only a create does.
func IsFixed(field protoreflect.FieldDescriptor) bool {
	behavior, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behavior, annotations.FieldBehavior_OUTPUT_ONLY) || slices.Contains(behavior, annotations.FieldBehavior_IMMUTABLE)
}
