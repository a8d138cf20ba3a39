package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Validator checks messages by the rules written in their protos, and every
// string in them for what no text holds. It compiles a message's rules when it
// first meets one. Safe for concurrent use.
//
// Fields marked IGNORE_ALWAYS are left alone by both checks. The service that
// owns such a field gives Check the part when it has what it needs: a PATCH's
// entity once it is merged, each event of a batch by itself.
type Validator struct {
	rules func() (protovalidate.Validator, error)
	texts sync.Map // protoreflect.MessageDescriptor → *textPlan
}

// NewValidator costs nothing until the first message.
func NewValidator() *Validator {
	return &Validator{rules: sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })}
}

// Check returns nil or an Invalid error that names every bad field as the REST
// API spells it, after prefix: with prefix "events[3]", "events[3].moduleId".
func (v *Validator) Check(message proto.Message, prefix string) error {
	m := message.ProtoReflect()
	violations := v.planOf(m.Descriptor()).check(m)
	rules, err := v.rules()
	if err != nil {
		return fmt.Errorf("protovalidate: %w", err)
	}
	var broken *protovalidate.ValidationError
	if err := rules.Validate(message); errors.As(err, &broken) {
		for _, b := range broken.Violations {
			violations = append(violations, violationOf(b.Proto))
		}
	} else if err != nil { // a rule that cannot be compiled or run
		return fmt.Errorf("protovalidate: %s: %w", m.Descriptor().FullName(), err)
	}
	if len(violations) == 0 {
		return nil
	}
	if prefix != "" {
		violations = below(prefix, violations)
	}
	return errs.InvalidFields(violations)
}

func (v *Validator) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := v.checkAny(req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (v *Validator) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, validatedStream{ss, v})
}

func (v *Validator) checkAny(req any) error {
	message, ok := req.(proto.Message)
	if !ok {
		return fmt.Errorf("request %T is not a message", req)
	}
	return v.Check(message, "")
}

type validatedStream struct {
	grpc.ServerStream
	validator *Validator
}

func (s validatedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.validator.checkAny(m)
}

func violationOf(v *validate.Violation) errs.Violation {
	description := v.GetMessage()
	if description == "" {
		description = "must satisfy " + v.GetRuleId()
	}
	return errs.Violation{Field: jsonPath(v.GetField()), Description: description, Reason: upperSnake(v.GetRuleId())}
}

// jsonPath spells a field path as JSON clients know the fields.
func jsonPath(path *validate.FieldPath) string {
	var b strings.Builder
	for i, e := range path.GetElements() {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(lowerCamel(e.GetFieldName()))
		switch s := e.GetSubscript().(type) {
		case *validate.FieldPathElement_Index:
			fmt.Fprintf(&b, "[%d]", s.Index)
		case *validate.FieldPathElement_StringKey:
			fmt.Fprintf(&b, "[%q]", s.StringKey)
		case *validate.FieldPathElement_BoolKey:
			fmt.Fprintf(&b, "[%t]", s.BoolKey)
		case *validate.FieldPathElement_IntKey:
			fmt.Fprintf(&b, "[%d]", s.IntKey)
		case *validate.FieldPathElement_UintKey:
			fmt.Fprintf(&b, "[%d]", s.UintKey)
		}
	}
	return b.String()
}

// lowerCamel is protobuf's own way from a field's name to its JSON name.
func lowerCamel(name string) string {
	var b strings.Builder
	upper := false
	for _, r := range name {
		switch {
		case r == '_':
			upper = true
			continue
		case upper && 'a' <= r && r <= 'z':
			r -= 'a' - 'A'
		}
		upper = false
		b.WriteRune(r)
	}
	return b.String()
}

// upperSnake makes a reason of a rule's id: STRING_MIN_LEN of string.min_len.
func upperSnake(id string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - ('a' - 'A')
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, id)
}

// textPlan lists the fields of a message that hold text, or messages that may.
type textPlan struct{ fields []textField }

type textField struct {
	protoreflect.FieldDescriptor
	isText bool      // the field, its elements or its map values are strings
	inner  *textPlan // of the field's, its elements' or its map values' messages; nil for none
}

// planOf makes the plan of a message and of all below it, once.
func (v *Validator) planOf(d protoreflect.MessageDescriptor) *textPlan {
	if known, ok := v.texts.Load(d); ok {
		return known.(*textPlan) //nolint:forcetypeassert // the map holds nothing else
	}
	plan := makePlan(d, map[protoreflect.FullName]*textPlan{})
	v.texts.Store(d, plan)
	return plan
}

// makePlan knows the messages on its way, since messages can hold themselves.
func makePlan(d protoreflect.MessageDescriptor, made map[protoreflect.FullName]*textPlan) *textPlan {
	if plan, ok := made[d.FullName()]; ok {
		return plan
	}
	plan := &textPlan{}
	made[d.FullName()] = plan
	for i := range d.Fields().Len() {
		field := textField{FieldDescriptor: d.Fields().Get(i)}
		value, key := field.FieldDescriptor, protoreflect.FieldDescriptor(nil)
		if field.IsMap() {
			value, key = field.MapValue(), field.MapKey()
		}
		if value.Message() != nil {
			field.inner = makePlan(value.Message(), made)
		}
		field.isText = value.Kind() == protoreflect.StringKind
		textKey := key != nil && key.Kind() == protoreflect.StringKind
		if (field.isText || textKey || field.inner != nil) && !isIgnored(field) {
			plan.fields = append(plan.fields, field)
		}
	}
	return plan
}

// isIgnored reports whether the proto tells validation to leave the field, or each
// of its elements, alone.
func isIgnored(d protoreflect.FieldDescriptor) bool {
	rules, _ := proto.GetExtension(d.Options(), validate.E_Field).(*validate.FieldRules)
	return rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS ||
		rules.GetRepeated().GetItems().GetIgnore() == validate.Ignore_IGNORE_ALWAYS
}

// check names every string that no text could be. Paths are made on the way up,
// so that a good message costs no memory.
func (p *textPlan) check(m protoreflect.Message) []errs.Violation {
	var found []errs.Violation
	for _, f := range p.fields {
		if !m.Has(f.FieldDescriptor) {
			continue
		}
		value := m.Get(f.FieldDescriptor)
		switch {
		case f.IsMap():
			value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				if text, ok := key.Interface().(string); ok {
					found = append(found, checkText(f.JSONName(), text)...)
				}
				if inside := f.checkValue(value); len(inside) > 0 {
					found = append(found, below(f.JSONName()+"["+mapKey(key)+"]", inside)...)
				}
				return true
			})
		case f.IsList():
			for i := range value.List().Len() {
				if inside := f.checkValue(value.List().Get(i)); len(inside) > 0 {
					found = append(found, below(f.JSONName()+"["+strconv.Itoa(i)+"]", inside)...)
				}
			}
		default:
			if inside := f.checkValue(value); len(inside) > 0 {
				found = append(found, below(f.JSONName(), inside)...)
			}
		}
	}
	return found
}

// checkValue checks one element; its violations' paths begin below it.
func (f textField) checkValue(value protoreflect.Value) []errs.Violation {
	switch {
	case f.isText:
		return checkText("", value.String())
	case f.inner != nil && len(f.inner.fields) > 0:
		return f.inner.check(value.Message())
	}
	return nil
}

func checkText(field, text string) []errs.Violation {
	switch {
	case !utf8.ValidString(text):
		return []errs.Violation{{Field: field, Reason: errs.ReasonStringUTF8, Description: "must be UTF-8 text"}}
	case strings.IndexByte(text, 0) >= 0:
		return []errs.Violation{{Field: field, Reason: errs.ReasonStringNUL, Description: "must not hold the character NUL"}}
	}
	return nil
}

func mapKey(key protoreflect.MapKey) string {
	if text, ok := key.Interface().(string); ok {
		return strconv.Quote(text)
	}
	return key.String()
}

// below puts the path of what holds them before the violations' own.
func below(prefix string, violations []errs.Violation) []errs.Violation {
	out := make([]errs.Violation, len(violations))
	for i, v := range violations {
		if v.Field == "" {
			v.Field = prefix
		} else {
			v.Field = prefix + "." + v.Field
		}
		out[i] = v
	}
	return out
}
