package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// BodyField is the field of a violation that is about the whole body.
const BodyField = "body"

// maxName bounds how much of a field's name a response repeats.
const maxName = 100

// NewDecoder returns a decoder of one message, which is all of r. It returns io.EOF if r is
// empty, which the generated handlers take as no body.
func (m *Codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(data)) == 0 {
			return io.EOF
		}
		return m.Unmarshal(data, v)
	})
}

// Unmarshal is Unmarshal of the package, for what the generated handlers read: a message, or a
// pointer to one.
func (m *Codec) Unmarshal(data []byte, v any) error {
	if message, ok := v.(proto.Message); ok {
		return Unmarshal(data, message)
	}
	// A request's body may be one of its fields: a pointer to a message's pointer.
	if field := reflect.ValueOf(v); field.Kind() == reflect.Pointer && field.Elem().Kind() == reflect.Pointer {
		value := reflect.New(field.Elem().Type().Elem())
		if message, ok := reflect.TypeAssert[proto.Message](value); ok {
			field.Elem().Set(value)
			return Unmarshal(data, message)
		}
	}
	return m.slow.Unmarshal(data, v)
}

// Unmarshal reads one message from data strictly: no unknown fields, nothing after it, no
// number that is not finite, no NUL in a string.
func Unmarshal(data []byte, into proto.Message) error {
	if err := unmarshal(data, into); err != nil {
		return err
	}
	if !sound(into.ProtoReflect()) {
		return errors.New("a number is not finite, or a string holds a NUL character")
	}
	return nil
}

// sound reports whether all numbers are finite and no string holds a NUL, which protojson
// accepts and no database stores.
func sound(m protoreflect.Message) bool {
	ok := true
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				ok = soundValue(fd.MapKey(), k.Value()) && soundValue(fd.MapValue(), v)
				return ok
			})
		case fd.IsList():
			for i := 0; ok && i < v.List().Len(); i++ {
				ok = soundValue(fd, v.List().Get(i))
			}
		default:
			ok = soundValue(fd, v)
		}
		return ok
	})
	return ok
}

func soundValue(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return strings.IndexByte(v.String(), 0) < 0
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
	case protoreflect.MessageKind:
		return sound(v.Message())
	default:
		return true
	}
}

// Diagnose returns a violation for every field because of which a body cannot be read as
// md. It is slow, and for bodies that Unmarshal has refused. If it finds nothing, the
// fault is of a kind that it does not know.
func Diagnose(data []byte, md protoreflect.MessageDescriptor) errs.List {
	d := diagnosis{}
	if v := CheckJSON(data); v != nil {
		d.found.Add(*v)
		return d.found
	}
	d.message("", md, data)
	return d.found
}

// CheckJSON returns what is wrong with a text that is not JSON, or nil.
func CheckJSON(data []byte) *errs.Violation {
	if !utf8.Valid(data) {
		return &errs.Violation{Field: BodyField, Reason: errs.ReasonInvalidUTF8, Description: "must be UTF-8 text"}
	}
	var value json.RawMessage
	err := json.Unmarshal(data, &value)
	if err == nil {
		return nil
	}
	where := ""
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		where = fmt.Sprintf(" at byte %d", syntax.Offset)
	}
	return &errs.Violation{Field: BodyField, Reason: errs.ReasonInvalidJSON, Description: "is not valid JSON: " + err.Error() + where}
}

// diagnosis collects violations on a walk through a body beside its descriptor.
type diagnosis struct {
	found errs.List
}

func (d *diagnosis) add(field, reason, description string) {
	if field == "" {
		field = BodyField
	}
	d.found.Add(errs.Violation{Field: field, Reason: reason, Description: description})
}

func (d *diagnosis) message(path string, md protoreflect.MessageDescriptor, text []byte) {
	if (&scanner{data: text}).space() != '{' {
		d.add(path, errs.ReasonInvalidType, "must be an object")
		return
	}
	seen := map[protoreflect.FieldDescriptor]bool{}
	for name, value := range Members(text) {
		field := joinPath(path, name)
		fd := FieldByName(md, name)
		switch {
		case fd == nil:
			d.add(field, errs.ReasonUnknownField, unknownField(name, fieldNames(md)))
		case seen[fd]:
			d.add(field, errs.ReasonDuplicateField, "is given more than once")
		default:
			seen[fd] = true
			d.field(field, fd, value)
		}
	}
}

func (d *diagnosis) field(path string, fd protoreflect.FieldDescriptor, text []byte) {
	s := scanner{data: text}
	switch {
	case string(text) == "null":
	case fd.IsList():
		if s.space() != '[' {
			d.add(path, errs.ReasonInvalidType, "must be a list")
			return
		}
		for i, value := range elements(text) {
			d.value(fmt.Sprintf("%s[%d]", path, i), fd, "["+string(value)+"]", value)
		}
	case fd.IsMap():
		d.value(path, fd, string(text), nil)
	default:
		d.value(path, fd, string(text), text)
	}
}

// value checks one value by reading a message that holds nothing else: whole is
// the field's text, one the value's own.
func (d *diagnosis) value(path string, fd protoreflect.FieldDescriptor, whole string, one []byte) {
	if md := fd.Message(); md != nil && !isWellKnown(md) && !fd.IsMap() {
		d.message(path, md, one)
		return
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(fd.ContainingMessage().FullName())
	if err != nil {
		return
	}
	alone := kind.New()
	if unmarshal([]byte(`{"`+fd.JSONName()+`":`+whole+`}`), alone.Interface()) != nil {
		reason, description := wrong(fd, one, whole), Expected(fd)
		if reason == errs.ReasonInvalidUTF8 {
			description = "must be UTF-8 text"
		}
		d.add(path, reason, description)
		return
	}
	switch {
	case sound(alone):
	case fd.Kind() == protoreflect.StringKind:
		d.add(path, errs.ReasonNULCharacter, "must not contain the character NUL")
	default:
		d.add(path, errs.ReasonNotFinite, "must be a finite number")
	}
}

// wrong returns the reason of a value that is none of its field's: its JSON type is another, or it is
// of the right type, and no such value.
func wrong(fd protoreflect.FieldDescriptor, one []byte, whole string) string {
	text := strings.Trim(strings.TrimSpace(string(one)), `"`)
	if one == nil {
		text = whole // of a map
	}
	isText := bytes.HasPrefix(bytes.TrimSpace(one), []byte{'"'})
	_, err := strconv.ParseFloat(text, 64)
	isNumber := err == nil || errors.Is(err, strconv.ErrRange)
	switch {
	case isText && fd.Kind() == protoreflect.StringKind:
		return errs.ReasonInvalidUTF8 // half of a surrogate pair
	case fd.Kind() == protoreflect.EnumKind && (isText || isNumber):
		return errs.ReasonUnknownValue
	case isText && (fd.Kind() == protoreflect.MessageKind || fd.Kind() == protoreflect.BytesKind):
		return errs.ReasonMalformed
	case isNumber && isNumeric(fd.Kind()) && (fd.Kind() == protoreflect.DoubleKind || !strings.Contains(text, ".")):
		return errs.ReasonOutOfRange
	default:
		return errs.ReasonInvalidType
	}
}

func isNumeric(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.BoolKind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind,
		protoreflect.MessageKind, protoreflect.GroupKind:
		return false
	default:
		return true
	}
}

// Wrong returns the reason of a parameter's text that is none of its field's values.
func Wrong(fd protoreflect.FieldDescriptor, text string) string {
	quoted := []byte(strconv.Quote(text))
	if isNumeric(fd.Kind()) {
		quoted = []byte(text)
	}
	return wrong(fd, quoted, text)
}

func unknownField(name string, known []string) string {
	return "is not a field of this request" + rpc.Instead(name, known)
}

// fieldNames returns the names of a message's fields in JSON.
func fieldNames(md protoreflect.MessageDescriptor) []string {
	names := make([]string, md.Fields().Len())
	for i := range names {
		names[i] = md.Fields().Get(i).JSONName()
	}
	return names
}

// FieldByName returns the field of a JSON name or a proto name, as protojson takes both, or nil.
func FieldByName(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByJSONName(name); fd != nil {
		return fd
	}
	return md.Fields().ByTextName(name)
}

func joinPath(path, name string) string {
	if path == "" {
		return Shorten(name)
	}
	return path + "." + Shorten(name)
}

// Shorten bounds a name that a client chose, so that no response repeats a whole body.
func Shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "") + "…"
}

// Expected returns what a field of that type must be.
func Expected(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return "must be a string"
	case protoreflect.BoolKind:
		return "must be true or false"
	case protoreflect.BytesKind:
		return "must be a string of base64"
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return "must be a number"
	case protoreflect.EnumKind:
		return "must be one of " + rpc.EnumNames(fd.Enum())
	case protoreflect.MessageKind:
		return expectedMessage(fd)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return "must be a whole number of at most 64 bits, as a string or a number"
	default:
		return "must be a whole number of at most 32 bits"
	}
}

const expectedTime = "must be an RFC 3339 time, such as 2026-11-20T08:00:00Z"

func expectedMessage(fd protoreflect.FieldDescriptor) string {
	switch fd.Message().FullName() {
	case timestampName:
		return expectedTime
	case "google.protobuf.FieldMask":
		return "must be field names with commas between them"
	default:
		return "has a value that cannot be read"
	}
}

// PlainText is a message of protojson without its mark and its odd spaces.
func PlainText(message string) string {
	message = strings.ReplaceAll(message, "\u00a0", " ")
	return strings.TrimSpace(strings.TrimPrefix(message, "proto:"))
}
