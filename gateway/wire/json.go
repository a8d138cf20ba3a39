// Package wire reads and writes the JSON of the REST API: messages as protojson writes them, with times
// of one form, and several times faster, and batches of events one by one. What cannot be read is reported field by field.
package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// ContentType is the media type of JSON.
const ContentType = "application/json"

// Codec writes messages as JSON and reads them. It writes what protojson writes with
// EmitDefaultValues, but for the digits of times, without its random spaces, and several times
// faster: each message type that it was made for has a plan. Any other message goes through protojson.
type Codec struct {
	slow    *runtime.JSONPb
	plans   map[protoreflect.MessageDescriptor]*plan
	scratch *sync.Pool // of *[]byte, so that a result is allocated once, in its size
}

var _ runtime.Marshaler = (*Codec)(nil)

// NewCodec makes a Codec with a plan for each of the messages, and for
// all that they hold.
func NewCodec(messages []protoreflect.MessageDescriptor) *Codec {
	m := &Codec{
		slow:    &runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true}},
		plans:   map[protoreflect.MessageDescriptor]*plan{},
		scratch: &sync.Pool{New: func() any { return new([]byte) }},
	}
	for _, md := range messages {
		m.plan(md)
	}
	return m
}

// ContentType returns the media type of JSON, whatever the value.
func (m *Codec) ContentType(any) string { return ContentType }

// Delimiter returns what separates the messages of a stream.
func (m *Codec) Delimiter() []byte { return []byte("\n") }

// Marshal returns v as JSON.
func (m *Codec) Marshal(v any) ([]byte, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return m.slow.Marshal(v)
	}
	buf, _ := m.scratch.Get().(*[]byte)
	out, err := m.append((*buf)[:0], message)
	if err != nil {
		return nil, err
	}
	result := bytes.Clone(out)
	*buf = out
	m.scratch.Put(buf)
	return result, nil
}

// NewEncoder returns an encoder that writes a line for each message.
func (m *Codec) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		b, err := m.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(append(b, '\n'))
		return err
	})
}

func (m *Codec) append(b []byte, message proto.Message) ([]byte, error) {
	r := message.ProtoReflect()
	if p, ok := m.plans[r.Descriptor()]; ok {
		return p.append(b, r)
	}
	return appendSlow(b, message)
}

// appendSlow is protojson without its spaces.
func appendSlow(b []byte, message proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return b, err
	}
	out := bytes.NewBuffer(b)
	err = json.Compact(out, text)
	return out.Bytes(), err
}

// plan is how to write one type of message.
type plan struct {
	fields    []fieldPlan
	wellKnown func([]byte, protoreflect.Message) ([]byte, error) // instead of fields
}

// fieldPlan is how to write one field of it.
type fieldPlan struct {
	field    protoreflect.FieldDescriptor
	name     string // `"name":`
	kind     protoreflect.Kind
	message  *plan
	enum     map[protoreflect.EnumNumber]string
	list     bool
	dict     bool
	presence bool
}

// plan returns the plan of a type.
func (m *Codec) plan(md protoreflect.MessageDescriptor) *plan {
	if p, ok := m.plans[md]; ok {
		return p
	}
	p := &plan{}
	m.plans[md] = p // before its fields: a type may hold itself
	switch {
	case md.FullName() == timestampName:
		p.wellKnown = appendTimestampOf
		return p
	case isWellKnown(md):
		p.wellKnown = func(b []byte, r protoreflect.Message) ([]byte, error) { return appendSlow(b, r.Interface()) }
		return p
	}
	for i := range md.Fields().Len() {
		p.fields = append(p.fields, m.fieldPlan(md.Fields().Get(i)))
	}
	return p
}

// isWellKnown reports whether the type has a JSON form of its own.
func isWellKnown(md protoreflect.MessageDescriptor) bool {
	return md.ParentFile().Package() == "google.protobuf"
}

func (m *Codec) fieldPlan(fd protoreflect.FieldDescriptor) fieldPlan {
	f := fieldPlan{field: fd, name: `"` + fd.JSONName() + `":`, list: fd.IsList(), dict: fd.IsMap(), presence: fd.HasPresence()}
	value := fd
	if f.dict {
		value = fd.MapValue()
	}
	f.kind = value.Kind()
	if value.Message() != nil {
		f.message = m.plan(value.Message())
	}
	if values := value.Enum(); values != nil {
		f.enum = map[protoreflect.EnumNumber]string{}
		for i := range values.Values().Len() {
			v := values.Values().Get(i)
			if _, aliased := f.enum[v.Number()]; !aliased {
				f.enum[v.Number()] = `"` + string(v.Name()) + `"`
			}
		}
	}
	return f
}

func (p *plan) append(b []byte, m protoreflect.Message) ([]byte, error) {
	if p.wellKnown != nil {
		return p.wellKnown(b, m)
	}
	var err error
	b = append(b, '{')
	first := true
	for i := range p.fields {
		f := &p.fields[i]
		if f.presence && !m.Has(f.field) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, f.name...)
		v := m.Get(f.field)
		switch {
		case f.list:
			b, err = f.appendList(b, v.List())
		case f.dict:
			b, err = f.appendMap(b, v.Map())
		default:
			b, err = f.appendValue(b, v)
		}
		if err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func (f *fieldPlan) appendList(b []byte, l protoreflect.List) ([]byte, error) {
	var err error
	b = append(b, '[')
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = f.appendValue(b, l.Get(i)); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendMap writes the keys in order, as protojson does: the same message always has
// the same ETag.
func (f *fieldPlan) appendMap(b []byte, m protoreflect.Map) ([]byte, error) {
	var err error
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, f.compareKeys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendString(b, k.String()); err != nil {
			return b, err
		}
		b = append(b, ':')
		if b, err = f.appendValue(b, m.Get(k)); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func (f *fieldPlan) compareKeys(a, b protoreflect.MapKey) int {
	switch f.field.MapKey().Kind() {
	case protoreflect.StringKind, protoreflect.BoolKind:
		return strings.Compare(a.String(), b.String())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return compareOrdered(a.Uint(), b.Uint())
	default:
		return compareOrdered(a.Int(), b.Int())
	}
}

func compareOrdered[T int64 | uint64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (f *fieldPlan) appendValue(b []byte, v protoreflect.Value) ([]byte, error) {
	switch f.kind {
	case protoreflect.StringKind:
		return appendString(b, v.String())
	case protoreflect.MessageKind:
		return f.message.append(b, v.Message())
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.EnumKind:
		if name, ok := f.enum[v.Enum()]; ok {
			return append(b, name...), nil
		}
		return strconv.AppendInt(b, int64(v.Enum()), 10), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return append(strconv.AppendInt(append(b, '"'), v.Int(), 10), '"'), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return append(strconv.AppendUint(append(b, '"'), v.Uint(), 10), '"'), nil
	case protoreflect.FloatKind:
		return appendFloat(b, v.Float(), 32), nil
	case protoreflect.DoubleKind:
		return appendFloat(b, v.Float(), 64), nil
	case protoreflect.BytesKind:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes()), '"'), nil
	default:
		return b, fmt.Errorf("wire: no JSON for a field of kind %v", f.kind)
	}
}

// appendString escapes only what JSON requires: the result, angle brackets too, is
// for JSON parsers, never part of HTML.
func appendString(b []byte, s string) ([]byte, error) {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	start, ascii := 0, true
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			ascii = ascii && c < utf8.RuneSelf
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	if !ascii && !utf8.ValidString(s) {
		return b, errors.New("wire: a string is not valid UTF-8")
	}
	b = append(b, s[start:]...)
	return append(b, '"'), nil
}

// appendFloat writes the shortest number that reads back the same.
func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, bits)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1] // e-09 is e-9 in JSON
		b = b[:n-1]
	}
	return b
}

func appendTimestampOf(b []byte, m protoreflect.Message) ([]byte, error) {
	t, ok := m.Interface().(*timestamppb.Timestamp)
	if !ok || !t.IsValid() {
		return appendSlow(b, m.Interface()) // which returns the error
	}
	return appendTimestamp(b, t), nil
}

// appendTimestamp writes RFC 3339 in UTC, always with six digits of a second, to which our times are
// exact: some clients' decoders take only one form.
func appendTimestamp(b []byte, t *timestamppb.Timestamp) []byte {
	at := time.Unix(t.GetSeconds(), int64(t.GetNanos())).UTC()
	return at.AppendFormat(b, `"2006-01-02T15:04:05.000000Z"`)
}
