package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Validator checks messages by the rules written in their protos, and every
// string in them for what no text holds. Requests are brought into NFC before. It compiles a message's rules when it
// first meets one. Safe for concurrent use.
//
// Fields marked IGNORE_ALWAYS are left alone by both checks. The service that
// owns such a field gives Check the part when it has what it needs: a PATCH's
// entity once it is merged, each event of a batch by itself.
type Validator struct {
	rules func() (protovalidate.Validator, error)
	texts plans[textPlan]
	// normal brings requests into the form in which they are checked.
	normal normalizer
}

// NewValidator costs nothing until the first message.
func NewValidator() *Validator {
	return &Validator{rules: sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })}
}

// Check returns nil or an Invalid error that names every bad field as the REST
// API spells it, after prefix: with prefix "events[3]", "events[3].moduleId".
func (v *Validator) Check(message proto.Message, prefix string) error {
	m := message.ProtoReflect()
	violations := v.texts.of(m.Descriptor(), makePlan).check(m)
	faulty := make(map[string]bool, len(violations))
	for _, found := range violations {
		faulty[found.Field] = true
	}
	var all errs.List
	all.Add(below(prefix, violations)...)
	rules, err := v.rules()
	if err != nil {
		return fmt.Errorf("protovalidate: %w", err)
	}
	var broken *protovalidate.ValidationError
	if err := rules.Validate(message); errors.As(err, &broken) {
		for _, b := range broken.Violations {
			// What is no text, or no value of its enum, breaks rules about its form, too: that is one mistake.
			found := violationOf(b)
			if !faulty[found.Field] {
				faulty[found.Field] = true
				all.Add(below(prefix, []errs.Violation{found})...)
			}
		}
	} else if err != nil { // a rule that cannot be compiled or run
		return fmt.Errorf("protovalidate: %s: %w", m.Descriptor().FullName(), err)
	}
	if all.Len() == 0 {
		return nil
	}
	return errs.InvalidList(all)
}

func (v *Validator) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	message, err := messageOf(req)
	if err != nil {
		return nil, err
	}
	message = v.normal.unary(message)
	if err := v.Check(message, ""); err != nil {
		return nil, err
	}
	return handler(ctx, message)
}

func messageOf(req any) (proto.Message, error) {
	message, ok := req.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("request %T is not a message", req)
	}
	return message, nil
}

type validatedStream struct {
	grpc.ServerStream
	validator *Validator
}

func (s validatedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	message, err := messageOf(m)
	if err != nil {
		return err
	}
	s.validator.normal.received(message)
	return s.validator.Check(message, "")
}

func violationOf(v *protovalidate.Violation) errs.Violation {
	out := errs.Violation{
		Field: jsonPath(v.Proto.GetField()), Description: v.Proto.GetMessage(), Reason: reasonOf(v.Proto.GetRuleId()),
	}
	if text, ok := v.FieldValue.Interface().(string); ok && text == "" {
		out.Reason, out.Description = errs.ReasonRequired, "must not be empty"
	}
	if words := wordsOf(v); words != "" && out.Reason != errs.ReasonRequired {
		out.Description = words
	}
	if out.Description == "" {
		out.Description = "must satisfy " + v.Proto.GetRuleId()
	}
	return out
}

// wordsOf returns the words that services have for what a rule asks for, or "" where the rule's own do.
func wordsOf(v *protovalidate.Violation) string {
	rule, _ := v.RuleValue.Interface().(string)
	switch {
	case v.Proto.GetRuleId() == "string.uuid":
		return "must be a UUID"
	case v.Proto.GetRuleId() == "string.pattern" && strings.Contains(rule, "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"):
		return "must be 1 to 63 lower-case letters, digits and inner hyphens, such as hipaa-foundations"
	}
	if in, found := strings.CutPrefix(v.Proto.GetMessage(), "must be in list ["); found {
		return "must be one of " + strings.TrimSuffix(in, "]")
	}
	return ""
}

// reasonOf returns the reason of a rule of protovalidate: the one that services give for the same
// mistake where they check it themselves.
func reasonOf(ruleID string) string {
	_, rule, ok := strings.Cut(ruleID, ".")
	if !ok {
		rule = ruleID // "required"
	}
	switch rule {
	case "required", "min_len", "min_items":
		return errs.ReasonRequired
	case "max_len":
		return errs.ReasonTooLong
	case "max_items":
		return errs.ReasonTooMany
	case "uuid":
		return errs.ReasonInvalidUUID
	case "in", "defined_only":
		return errs.ReasonUnknownValue
	case "gt", "gte", "lt", "lte", "gt_lt", "gt_lte", "gte_lt", "gte_lte":
		return errs.ReasonOutOfRange
	case "finite":
		return errs.ReasonNotFinite
	case "unique":
		return errs.ReasonDuplicate
	default:
		return errs.ReasonMalformed
	}
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

// textPlan lists the fields of a message that hold text or enums, or messages that may.
type textPlan struct{ fields []textField }

type textField struct {
	protoreflect.FieldDescriptor
	isText bool                        // the field, its elements or its map values are strings
	enum   protoreflect.EnumDescriptor // of the field, its elements or its map values; nil for none
	inner  *textPlan                   // of the field's, its elements' or its map values' messages; nil for none
}

// plans are what is to be looked at in messages, worked out once for each kind.
type plans[P any] struct {
	made sync.Map // protoreflect.MessageDescriptor → *P
}

// of returns the plan of a message, which newPlan makes together with those of all messages below it.
func (p *plans[P]) of(d protoreflect.MessageDescriptor, newPlan func(protoreflect.MessageDescriptor, map[protoreflect.FullName]*P) *P) *P {
	if known, ok := p.made.Load(d); ok {
		return known.(*P) //nolint:forcetypeassert // the map holds nothing else
	}
	plan := newPlan(d, map[protoreflect.FullName]*P{})
	p.made.Store(d, plan)
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
		field.enum = value.Enum()
		textKey := key != nil && key.Kind() == protoreflect.StringKind
		if (field.isText || textKey || field.enum != nil || field.inner != nil) && !isIgnored(field) {
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

// check names every string that no text could be, and every number that is no value of its enum. Paths are made on the way up,
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
	case f.enum != nil:
		return checkEnum(f.enum, value.Enum())
	case f.inner != nil && len(f.inner.fields) > 0:
		return f.inner.check(value.Message())
	}
	return nil
}

// checkEnum refuses numbers that the enum does not have, which JSON and gRPC can send.
func checkEnum(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) []errs.Violation {
	if enum.Values().ByNumber(number) != nil {
		return nil
	}
	return []errs.Violation{{Reason: errs.ReasonUnknownValue, Description: "must be one of " + EnumNames(enum)}}
}

// EnumNames returns the values of an enum that may be sent, with commas between them: all but the unspecified one.
func EnumNames(enum protoreflect.EnumDescriptor) string {
	names := make([]string, 0, enum.Values().Len())
	for i := range enum.Values().Len() {
		if v := enum.Values().Get(i); v.Number() != 0 {
			names = append(names, string(v.Name()))
		}
	}
	return strings.Join(names, ", ")
}

func checkText(field, text string) []errs.Violation {
	var found errs.Violations
	found.Encoding(field, text)
	return found
}

func mapKey(key protoreflect.MapKey) string {
	if text, ok := key.Interface().(string); ok {
		return strconv.Quote(text)
	}
	return key.String()
}

// below puts the path of what holds them, where there is one, before the violations' own.
func below(prefix string, violations []errs.Violation) []errs.Violation {
	if prefix == "" {
		return violations
	}
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
