package main

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// direction is which way a value goes. The two have schemas of their own: what is sent may leave out
// what has a default and holds no unknown member, and what comes back holds all that has a value.
type direction bool

const (
	answered direction = false
	sent     direction = true
)

// schemas collects the types that operations name.
type schemas struct {
	comments *comments
	examples map[string]example
	types    map[string]protoreflect.Descriptor // by component name
	order    []string
	made     map[string]*object
}

func newSchemas(w *comments, examples map[string]example) *schemas {
	return &schemas{comments: w, examples: examples, types: map[string]protoreflect.Descriptor{}, made: map[string]*object{}}
}

// componentName returns the type's name without its package: EnrollmentState for
// Enrollment.State. That of a message that is sent ends with Input, unless the name says already that
// it is part of a request. A response's ends with Result, since generators use the word Response
// for what they wrap it in.
func componentName(d protoreflect.Descriptor, way direction) string {
	full := strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
	outer, inner, _ := strings.Cut(full, ".")
	if cut, ok := strings.CutSuffix(outer, "Response"); ok {
		outer = cut + "Result"
	}
	name := outer + strings.ReplaceAll(inner, ".", "")
	if _, ok := d.(protoreflect.MessageDescriptor); ok && way == sent && !strings.HasSuffix(outer, "Request") {
		name += "Input"
	}
	return name
}

// ref names a type, and makes its component the first time.
func (s *schemas) ref(d protoreflect.Descriptor, way direction) (*object, error) {
	name := componentName(d, way)
	if known, ok := s.types[name]; ok {
		if known.FullName() != d.FullName() {
			return nil, fmt.Errorf("%s and %s would both be called %s", known.FullName(), d.FullName(), name)
		}
	} else {
		s.types[name] = d
		s.order = append(s.order, name)
		schema, err := s.component(d, way)
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

func (s *schemas) component(d protoreflect.Descriptor, way direction) (*object, error) {
	text := s.comments.typeWords(d.FullName())
	if ed, ok := d.(protoreflect.EnumDescriptor); ok {
		return of("type", "string", "description", text, "enum", enumNames(ed)), nil
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is neither message nor enum", d.FullName())
	}
	return s.object(text, fieldsOf(md), s.comments.fields[md.FullName()], way)
}

func fieldsOf(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	fields := make([]protoreflect.FieldDescriptor, 0, md.Fields().Len())
	for i := range md.Fields().Len() {
		fields = append(fields, md.Fields().Get(i))
	}
	return fields
}

// object returns the schema of some fields. One that is sent takes no other members: the server
// refuses them. One that comes back may have more of them some day.
func (s *schemas) object(text string, fields []protoreflect.FieldDescriptor, comments map[string]string, way direction) (*object, error) {
	schema := of("type", "object")
	if text != "" {
		schema.set("description", text)
	}
	properties := &object{}
	var required []string
	for _, fd := range fields {
		property, err := s.field(fd, way)
		if err != nil {
			return nil, err
		}
		if comment := rest(comments[fd.JSONName()]); comment != "" {
			property.set("description", comment)
		}
		if way == sent && has(fd, annotations.FieldBehavior_OUTPUT_ONLY) && fd.Name() != "etag" {
			// Ignored, so that what was read can be sent back; an etag that is sent back is a precondition.
			property.set("readOnly", true)
		}
		properties.set(fd.JSONName(), property)
		if way == sent && mustBeSent(fd) || way == answered && alwaysAnswered(fd) {
			required = append(required, fd.JSONName())
		}
	}
	schema.set("properties", properties)
	if len(required) > 0 {
		schema.set("required", required)
	}
	if way == sent {
		schema.set("additionalProperties", false)
	}
	return schema, nil
}

func has(fd protoreflect.FieldDescriptor, behavior annotations.FieldBehavior) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, behavior)
}

// alwaysAnswered reports whether every response has the field: one that is not optional in proto/, or
// is marked there as REQUIRED, as those messages are that the services always set.
func alwaysAnswered(fd protoreflect.FieldDescriptor) bool {
	return !fd.HasPresence() || has(fd, annotations.FieldBehavior_REQUIRED)
}

// rulesOf returns a field's limits, also those marked to be ignored: then the service
// checks them itself, together with what the proto cannot express.
func rulesOf(fd protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

// mustBeSent reports whether a request without the field is refused.
func mustBeSent(fd protoreflect.FieldDescriptor) bool {
	rules := rulesOf(fd)
	switch {
	case has(fd, annotations.FieldBehavior_OUTPUT_ONLY):
		return false
	case has(fd, annotations.FieldBehavior_REQUIRED), rules.GetRequired():
		return true
	case fd.HasPresence():
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
func (s *schemas) field(fd protoreflect.FieldDescriptor, way direction) (*object, error) {
	rules := rulesOf(fd)
	switch {
	case fd.IsMap():
		value, err := s.value(fd.MapValue(), nil, way)
		return of("type", "object", "additionalProperties", value), err
	case fd.IsList():
		items, err := s.value(fd, rules.GetRepeated().GetItems(), way)
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
		return s.value(fd, rules, way)
	}
}

func (s *schemas) value(fd protoreflect.FieldDescriptor, rules *validate.FieldRules, way direction) (*object, error) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return stringSchema(rules.GetString()), nil
	case protoreflect.BoolKind:
		return of("type", "boolean"), nil
	case protoreflect.Int32Kind:
		return int32Schema(rules.GetInt32()), nil
	case protoreflect.Int64Kind:
		return int64Schema(rules.GetInt64()), nil
	case protoreflect.DoubleKind:
		return doubleSchema(rules.GetDouble()), nil
	case protoreflect.BytesKind:
		return of("type", "string", "contentEncoding", "base64"), nil
	case protoreflect.EnumKind:
		return s.ref(fd.Enum(), way)
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Timestamp":
			return of("type", "string", "format", "date-time"), nil
		case "google.protobuf.FieldMask":
			return of("type", "string"), nil
		}
		return s.ref(fd.Message(), way)
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
	// A limit in bytes is one in characters too, for no character takes less than a byte.
	if n := max(rules.GetMaxLen(), rules.GetMaxBytes()); n > 0 {
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

// int64Schema is a number as a string: JavaScript's numbers do not hold all of them.
func int64Schema(rules *validate.Int64Rules) *object {
	pattern := "^-?[0-9]+$"
	if r, ok := rules.GetGreaterThan().(*validate.Int64Rules_Gte); ok && r.Gte >= 0 {
		pattern = "^[0-9]+$"
	}
	return of("type", "string", "format", "int64", "pattern", pattern)
}

func doubleSchema(rules *validate.DoubleRules) *object {
	schema := of("type", "number", "format", "double")
	switch r := rules.GetGreaterThan().(type) {
	case *validate.DoubleRules_Gte:
		schema.set("minimum", r.Gte)
	case *validate.DoubleRules_Gt:
		// The next number up, as a minimum: exclusiveMinimum is a number in OpenAPI 3.1 and was a
		// boolean before, and generators disagree on which they read.
		schema.set("minimum", math.Nextafter(r.Gt, math.Inf(1)))
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
