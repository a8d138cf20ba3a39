package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// schemas collects the types that operations name.
type schemas struct {
	comments *comments
	examples map[string]example
	types    map[string]protoreflect.Descriptor // by component name
	order    []string
	made     map[string]*object
	sent     map[protoreflect.FullName]bool // types that requests hold
}

func newSchemas(w *comments, examples map[string]example) *schemas {
	return &schemas{
		comments: w, examples: examples, types: map[string]protoreflect.Descriptor{}, made: map[string]*object{}, sent: map[protoreflect.FullName]bool{},
	}
}

// componentName returns the type's name without its package: EnrollmentState for
// Enrollment.State.
func componentName(d protoreflect.Descriptor) string {
	full := strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
	return strings.ReplaceAll(full, ".", "")
}

// markSent records that clients send a type, and all types in it: then a member
// that responses always have is optional.
func (s *schemas) markSent(md protoreflect.MessageDescriptor) {
	if s.sent[md.FullName()] {
		return
	}
	s.sent[md.FullName()] = true
	for i := range md.Fields().Len() {
		if inner := md.Fields().Get(i).Message(); inner != nil && !isWellKnown(inner) {
			s.markSent(inner)
		}
	}
}

func isWellKnown(md protoreflect.MessageDescriptor) bool {
	return md.ParentFile().Package() == "google.protobuf"
}

// ref names a type, and makes its component the first time.
func (s *schemas) ref(d protoreflect.Descriptor) (*object, error) {
	name := componentName(d)
	if known, ok := s.types[name]; ok {
		if known.FullName() != d.FullName() {
			return nil, fmt.Errorf("%s and %s would both be called %s", known.FullName(), d.FullName(), name)
		}
	} else {
		s.types[name] = d
		s.order = append(s.order, name)
		schema, err := s.component(d)
		if err != nil {
			return nil, err
		}
		s.made[name] = schema
	}
	return of("$ref", "#/components/schemas/"+name), nil
}

// components are all types made, by name.
func (s *schemas) components() *object {
	slices.Sort(s.order)
	all := &object{}
	for _, name := range s.order {
		all.set(name, s.made[name])
	}
	return all
}

func (s *schemas) component(d protoreflect.Descriptor) (*object, error) {
	text := s.comments.typeWords(d.FullName())
	if ed, ok := d.(protoreflect.EnumDescriptor); ok {
		return of("type", "string", "description", text, "enum", enumNames(ed)), nil
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is neither message nor enum", d.FullName())
	}
	var fields []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		fields = append(fields, md.Fields().Get(i))
	}
	return s.object(text, fields, s.comments.fields[md.FullName()], s.sent[md.FullName()])
}

// object returns the schema of some fields.
func (s *schemas) object(text string, fields []protoreflect.FieldDescriptor, comments map[string]string, sent bool) (*object, error) {
	schema := of("type", "object")
	if text != "" {
		schema.set("description", text)
	}
	properties := &object{}
	var required []string
	for _, fd := range fields {
		property, err := s.field(fd)
		if err != nil {
			return nil, err
		}
		if comment := rest(comments[fd.JSONName()]); comment != "" {
			property.set("description", comment)
		}
		if outputOnly(fd) {
			property.set("readOnly", true)
		}
		properties.set(fd.JSONName(), property)
		if sent && mustBeSent(fd) || !sent && !fd.HasPresence() {
			required = append(required, fd.JSONName())
		}
	}
	schema.set("properties", properties)
	if len(required) > 0 {
		schema.set("required", required)
	}
	return schema, nil
}

func outputOnly(fd protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_OUTPUT_ONLY)
}

// rulesOf returns a field's limits, also those marked to be ignored: then the service
// checks them itself, together with what the proto cannot express.
func rulesOf(fd protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

// mustBeSent reports whether a request without the field is refused.
func mustBeSent(fd protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	rules := rulesOf(fd)
	switch {
	case slices.Contains(behaviors, annotations.FieldBehavior_REQUIRED), rules.GetRequired():
		return true
	case outputOnly(fd), fd.HasPresence():
		return false
	case fd.IsList():
		return rules.GetRepeated().GetMinItems() > 0
	}
	text := rules.GetString()
	if text.GetUuid() || text.GetMinLen() > 0 || len(text.GetIn()) > 0 && !slices.Contains(text.GetIn(), "") {
		return true
	}
	if pattern := text.GetPattern(); pattern != "" {
		return !regexp.MustCompile(pattern).MatchString("")
	}
	return rules.GetInt32().GetGte() > 0
}

// field is the schema of one field, with the limits that the service holds it to.
func (s *schemas) field(fd protoreflect.FieldDescriptor) (*object, error) {
	rules := rulesOf(fd)
	switch {
	case fd.IsMap():
		value, err := s.value(fd.MapValue(), nil)
		return of("type", "object", "additionalProperties", value), err
	case fd.IsList():
		items, err := s.value(fd, rules.GetRepeated().GetItems())
		if err != nil {
			return nil, err
		}
		list := of("type", "array", "items", items)
		if n := rules.GetRepeated().GetMinItems(); n > 0 {
			list.set("minItems", n)
		}
		if n := rules.GetRepeated().GetMaxItems(); n > 0 {
			list.set("maxItems", n)
		}
		return list, nil
	default:
		return s.value(fd, rules)
	}
}

func (s *schemas) value(fd protoreflect.FieldDescriptor, rules *validate.FieldRules) (*object, error) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return stringSchema(rules.GetString()), nil
	case protoreflect.BoolKind:
		return of("type", "boolean"), nil
	case protoreflect.Int32Kind:
		return int32Schema(rules.GetInt32()), nil
	case protoreflect.Int64Kind:
		return of("type", "string", "format", "int64", "pattern", "^-?[0-9]+$"), nil
	case protoreflect.DoubleKind:
		return doubleSchema(rules.GetDouble()), nil
	case protoreflect.BytesKind:
		return of("type", "string", "contentEncoding", "base64"), nil
	case protoreflect.EnumKind:
		return s.ref(fd.Enum())
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Timestamp":
			return of("type", "string", "format", "date-time"), nil
		case "google.protobuf.FieldMask":
			return of("type", "string"), nil
		}
		return s.ref(fd.Message())
	default:
		return nil, fmt.Errorf("%s: no schema for kind %v", fd.FullName(), fd.Kind())
	}
}

func stringSchema(rules *validate.StringRules) *object {
	schema := of("type", "string")
	if rules.GetUuid() {
		schema.set("format", "uuid")
	}
	if values := rules.GetIn(); len(values) > 0 {
		schema.set("enum", values)
	}
	if n := rules.GetMinLen(); n > 0 {
		schema.set("minLength", n)
	}
	if n := rules.GetMaxLen(); n > 0 {
		schema.set("maxLength", n)
	}
	if p := rules.GetPattern(); p != "" {
		schema.set("pattern", p)
	}
	return schema
}

func int32Schema(rules *validate.Int32Rules) *object {
	schema := of("type", "integer", "format", "int32")
	if r, ok := rules.GetGreaterThan().(*validate.Int32Rules_Gte); ok {
		schema.set("minimum", r.Gte)
	}
	if r, ok := rules.GetLessThan().(*validate.Int32Rules_Lte); ok {
		schema.set("maximum", r.Lte)
	}
	return schema
}

func doubleSchema(rules *validate.DoubleRules) *object {
	schema := of("type", "number", "format", "double")
	switch r := rules.GetGreaterThan().(type) {
	case *validate.DoubleRules_Gte:
		schema.set("minimum", r.Gte)
	case *validate.DoubleRules_Gt:
		schema.set("exclusiveMinimum", r.Gt)
	}
	if r, ok := rules.GetLessThan().(*validate.DoubleRules_Lte); ok {
		schema.set("maximum", r.Lte)
	}
	return schema
}

func enumNames(ed protoreflect.EnumDescriptor) []string {
	names := make([]string, 0, ed.Values().Len())
	for i := range ed.Values().Len() {
		names = append(names, string(ed.Values().Get(i).Name()))
	}
	return names
}
