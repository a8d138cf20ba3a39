package rpc

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/preceptor-dev/preceptor/internal/nfc"
)

// normalizer brings the texts of requests into NFC, before they are validated, hashed, compared or
// stored: once, for every way in. Texts that only programs write stay as they are.
type normalizer struct {
	plans plans[normalPlan]
}

// normalPlan are the fields of a message that hold texts that people write, or messages that may.
type normalPlan struct{ fields []normalField }

type normalField struct {
	protoreflect.FieldDescriptor

	inner *normalPlan // of the field's, its elements' or its map values' messages; nil for a text
}

// opaqueFields are texts that no person writes for another: ids and codes, which have a syntax of their own,
// and what must come back as it was sent. An address of content is for the server that it names; a file of
// a catalog is brought into NFC as it is read, since its text may have escapes.
func opaqueFields() []string {
	return []string{
		"id", "ids", "prerequisites", "path", "service", "level", "etag", "ticket", "issuer", "subject", "order_by",
		"time_zone", "locale", "duration", "fixed_date", "period", "window", "grace", "content_uri", "content",
	}
}

func isOpaque(field protoreflect.FieldDescriptor) bool {
	name := string(field.Name())
	return slices.Contains(opaqueFields(), name) || slices.ContainsFunc([]string{"_id", "_ids", "_token", "_hash"}, func(ending string) bool {
		return strings.HasSuffix(name, ending)
	})
}

// unary returns the message, or one in its place: in process its parts are the sender's.
func (n *normalizer) unary(message proto.Message) proto.Message {
	plan := n.planOf(message)
	if !plan.finds(message.ProtoReflect()) {
		return message
	}
	message = proto.Clone(message)
	plan.change(message.ProtoReflect())
	return message
}

// received changes a message of a stream, which is the receiver's own.
func (n *normalizer) received(message proto.Message) {
	if plan := n.planOf(message); plan.finds(message.ProtoReflect()) {
		plan.change(message.ProtoReflect())
	}
}

// NormalizedFields are the paths, below a message, of the texts that requests may bring in another form
// and services get in NFC: "content.title".
func NormalizedFields(message protoreflect.MessageDescriptor) []string {
	var paths []string
	var walk func(p *normalPlan, prefix string, above []*normalPlan)
	walk = func(p *normalPlan, prefix string, above []*normalPlan) {
		if slices.Contains(above, p) {
			return
		}
		for _, f := range p.fields {
			if f.inner == nil {
				paths = append(paths, prefix+string(f.Name()))
			} else {
				walk(f.inner, prefix+string(f.Name())+".", append(above, p))
			}
		}
	}
	walk(makeNormalPlan(message, map[protoreflect.FullName]*normalPlan{}), "", nil)
	return paths
}

func (n *normalizer) planOf(message proto.Message) *normalPlan {
	return n.plans.of(message.ProtoReflect().Descriptor(), makeNormalPlan)
}

// makeNormalPlan knows the messages on its way, since messages can hold themselves.
func makeNormalPlan(d protoreflect.MessageDescriptor, made map[protoreflect.FullName]*normalPlan) *normalPlan {
	if plan, ok := made[d.FullName()]; ok {
		return plan
	}
	plan := &normalPlan{}
	made[d.FullName()] = plan
	for i := range d.Fields().Len() {
		field := normalField{FieldDescriptor: d.Fields().Get(i)}
		value := field.FieldDescriptor
		if field.IsMap() {
			value = field.MapValue()
		}
		switch inner := value.Message(); {
		case inner != nil && strings.HasPrefix(string(inner.FullName()), "google."): // a mask names fields
			continue
		case inner != nil:
			field.inner = makeNormalPlan(inner, made)
		case value.Kind() != protoreflect.StringKind || isOpaque(field.FieldDescriptor):
			continue
		}
		plan.fields = append(plan.fields, field)
	}
	plan.fields = slices.DeleteFunc(plan.fields, func(f normalField) bool {
		return f.inner != nil && len(f.inner.fields) == 0 && f.inner != plan
	})
	return plan
}

// finds reports whether there is a text to change.
func (p *normalPlan) finds(m protoreflect.Message) bool {
	for _, f := range p.fields {
		if m.Has(f.FieldDescriptor) && f.findsIn(m.Get(f.FieldDescriptor)) {
			return true
		}
	}
	return false
}

func (f normalField) findsIn(value protoreflect.Value) bool {
	found := false
	switch {
	case f.IsMap():
		value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
			found = f.findsInOne(value)
			return !found
		})
	case f.IsList():
		list := value.List()
		for i := range list.Len() {
			if f.findsInOne(list.Get(i)) {
				return true
			}
		}
	default:
		return f.findsInOne(value)
	}
	return found
}

func (f normalField) findsInOne(value protoreflect.Value) bool {
	if f.inner != nil {
		return f.inner.finds(value.Message())
	}
	return !nfc.Is(value.String())
}

// change brings all texts into NFC.
func (p *normalPlan) change(m protoreflect.Message) {
	for _, f := range p.fields {
		if !m.Has(f.FieldDescriptor) {
			continue
		}
		switch value := m.Get(f.FieldDescriptor); {
		case f.IsMap():
			texts := value.Map()
			texts.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				f.changeOne(value, func(text protoreflect.Value) { texts.Set(key, text) })
				return true
			})
		case f.IsList():
			list := value.List()
			for i := range list.Len() {
				f.changeOne(list.Get(i), func(text protoreflect.Value) { list.Set(i, text) })
			}
		default:
			f.changeOne(value, func(text protoreflect.Value) { m.Set(f.FieldDescriptor, text) })
		}
	}
}

func (f normalField) changeOne(value protoreflect.Value, set func(text protoreflect.Value)) {
	if f.inner != nil {
		f.inner.change(value.Message())
		return
	}
	if text := value.String(); !nfc.Is(text) {
		set(protoreflect.ValueOfString(nfc.String(text)))
	}
}
