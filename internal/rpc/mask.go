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

// Mask is which fields of an entity an update changes.
type Mask []maskPath

// maskPath is a path of fields. The last one may be a map of which one entry changes; else it has no key.
type maskPath struct {
	fields []protoreflect.FieldDescriptor
	key    string
}

func (p maskPath) equal(other maskPath) bool {
	return p.key == other.key && slices.Equal(p.fields, other.fields)
}

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
				out = append(out, maskPath{fields: []protoreflect.FieldDescriptor{field}})
			}
			return true
		})
		return out, nil
	case slices.Equal(mask.GetPaths(), []string{"*"}):
		var out Mask
		for _, field := range settable(m.Descriptor()) {
			if !slices.Contains(mustBeNamed, field.Name()) {
				out = append(out, maskPath{fields: []protoreflect.FieldDescriptor{field}})
			}
		}
		return out, nil
	}
	var out Mask
	var bad errs.Violations
	for _, path := range mask.GetPaths() {
		read, ok := readPath(&bad, m.Descriptor(), path)
		if ok && slices.ContainsFunc(out, read.equal) {
			bad.Addf(maskField, errs.ReasonDuplicateField, "%s is named twice", quoted(path))
		}
		if ok {
			out = append(out, read)
		}
	}
	return out, bad.Err()
}

// readPath returns where a path leads, or reports false and adds a violation. The elements of a list have no path;
// an entry of a map with texts as keys has that of the map and its key.
func readPath(bad *errs.Violations, md protoreflect.MessageDescriptor, path string) (read maskPath, ok bool) {
	names := strings.Split(path, ".")
	for i, name := range names {
		var field protoreflect.FieldDescriptor
		if md != nil {
			field = fieldByName(md, name)
		}
		if field == nil {
			bad.Addf(maskField, errs.ReasonUnknownField, "%s is not a field%s", quoted(path), Instead(name, settableNames(md)))
			return maskPath{}, false
		}
		read.fields = append(read.fields, field)
		md = nil
		if field.Message() != nil && field.Cardinality() != protoreflect.Repeated {
			md = field.Message()
		}
		entry := i == len(names)-2 && field.IsMap() && field.MapKey().Kind() == protoreflect.StringKind && names[i+1] != ""
		if IsFixed(field) && (entry || i == len(names)-1) {
			bad.Addf(maskField, errs.ReasonNotSettable, "%s cannot be changed", quoted(path))
			return maskPath{}, false
		}
		if entry {
			read.key = names[i+1]
			return read, true
		}
	}
	return read, true
}

// quoted returns a path that a client chose, bounded.
func quoted(path string) string { return strconv.Quote(path[:min(len(path), maxCompared)]) }

// Names reports whether the mask names the field, or a part of it.
func (m Mask) Names(field protoreflect.Name) bool {
	return slices.ContainsFunc(m, func(path maskPath) bool { return path.fields[0].Name() == field })
}

// Merge copies the fields of the mask from one message to another of the same type. A field that is not
// set clears, and so does an entry of a map.
func (m Mask) Merge(to, from proto.Message) {
	for _, path := range m {
		merge(to.ProtoReflect(), from.ProtoReflect(), path.fields, path.key)
	}
}

func merge(to, from protoreflect.Message, path []protoreflect.FieldDescriptor, key string) {
	field := path[0]
	switch {
	case len(path) > 1:
		merge(to.Mutable(field).Message(), from.Get(field).Message(), path[1:], key)
	case key != "":
		mergeEntry(to, from, field, protoreflect.ValueOfString(key).MapKey())
	case from.Has(field):
		to.Set(field, from.Get(field))
	default:
		to.Clear(field)
	}
}

// mergeEntry copies one entry of a map, whose other entries stay. The map becomes another one: it may be shared.
func mergeEntry(to, from protoreflect.Message, field protoreflect.FieldDescriptor, key protoreflect.MapKey) {
	merged := to.NewField(field)
	to.Get(field).Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		merged.Map().Set(key, value)
		return true
	})
	if entries := from.Get(field).Map(); entries.Has(key) {
		merged.Map().Set(key, entries.Get(key))
	} else {
		merged.Map().Clear(key)
	}
	to.Set(field, merged)
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
