package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// shapes are all messages that the API knows, and some that hold kinds of fields
// which it does not: maps, bytes, every number, oneofs, well-known types.
func shapes() []protoreflect.MessageDescriptor {
	all := []protoreflect.MessageDescriptor{
		(&errdetails.ErrorInfo{}).ProtoReflect().Descriptor(),
		(&errdetails.RetryInfo{}).ProtoReflect().Descriptor(),
		(&validate.FieldRules{}).ProtoReflect().Descriptor(),
	}
	for _, file := range []protoreflect.FileDescriptor{
		profilev1.File_preceptor_profile_v1_profile_proto,
		profilev1.File_preceptor_profile_v1_cohorts_proto,
		catalogv1.File_preceptor_catalog_v1_catalog_proto,
		progressv1.File_preceptor_progress_v1_progress_proto,
		auditv1.File_preceptor_audit_v1_audit_proto,
	} {
		for i := range file.Messages().Len() {
			all = append(all, file.Messages().Get(i))
		}
	}
	return all
}

// drawMessage fills a message at random, now and then with what JSON cannot hold.
func drawMessage(t *rapid.T, m protoreflect.Message, depth int) {
	if stamp, ok := m.Interface().(*timestamppb.Timestamp); ok {
		stamp.Seconds = rapid.OneOf(rapid.Int64Range(-62135596801, 253402300800), rapid.Int64Range(0, 1<<32)).Draw(t, "seconds")
		stamp.Nanos = rapid.OneOf(rapid.Just(int32(0)), rapid.Map(rapid.Int32Range(0, 999), func(n int32) int32 { return n * 1_000_000 }),
			rapid.Map(rapid.Int32Range(0, 999_999), func(n int32) int32 { return n * 1000 }), rapid.Int32Range(0, 999_999_999)).Draw(t, "nanos")
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		if depth > 3 && fd.Message() != nil || !rapid.Bool().Draw(t, "set") {
			continue
		}
		switch {
		case fd.IsMap():
			for range rapid.IntRange(0, 3).Draw(t, "size") {
				v := m.Mutable(fd).Map().NewValue()
				if fd.MapValue().Message() == nil {
					v = drawValue(t, fd.MapValue())
				} else {
					drawMessage(t, v.Message(), depth+1)
				}
				m.Mutable(fd).Map().Set(drawValue(t, fd.MapKey()).MapKey(), v)
			}
		case fd.IsList():
			for range rapid.IntRange(0, 3).Draw(t, "size") {
				if fd.Message() == nil {
					m.Mutable(fd).List().Append(drawValue(t, fd))
				} else {
					drawMessage(t, m.Mutable(fd).List().AppendMutable().Message(), depth+1)
				}
			}
		case fd.Message() != nil:
			drawMessage(t, m.Mutable(fd).Message(), depth+1)
		default:
			m.Set(fd, drawValue(t, fd))
		}
	}
}

func drawValue(t *rapid.T, fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.OneOf(rapid.String(), rapid.StringMatching("[a-z<>&\"\\\\\x00-\x7f]{0,9}"),
			rapid.SampledFrom([]string{"", "\xff", "a\xc3", "\u2028", "\ufffd", "Grüße\n"})).Draw(t, "string"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32Range(-1, 9).Draw(t, "enum")))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(rapid.OneOf(rapid.Float32(), rapid.SampledFrom([]float32{1e-7, 1e21, 0.1})).Draw(t, "float"))
	case protoreflect.DoubleKind:
		odd := []float64{0, math.Copysign(0, -1), 1e-7, 1e-10, 1e21, 1e20, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}
		return protoreflect.ValueOfFloat64(rapid.OneOf(rapid.Float64(), rapid.SampledFrom(odd)).Draw(t, "double"))
	default:
		t.Fatalf("no value for %v", fd.Kind())
		return protoreflect.Value{}
	}
}

// sameAsProtojson holds what the Codec writes to what protojson writes.
func sameAsProtojson(t interface {
	Fatalf(format string, args ...any)
}, m *Codec, message proto.Message,
) {
	want, wantErr := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	got, err := m.Marshal(message)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, protojson's %v", err, wantErr)
	}
	if err != nil {
		return
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, want); err != nil {
		t.Fatalf("%v", err)
	}
	if want := withSixDigits(compact.Bytes()); !bytes.Equal(got, want) {
		t.Fatalf("%s:\n%s\nprotojson:\n%s", message.ProtoReflect().Descriptor().FullName(), got, want)
	}
}

var writtenTime = regexp.MustCompile(`"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"`)

// withSixDigits spells each time in a JSON text as the Codec does.
func withSixDigits(text []byte) []byte {
	return writtenTime.ReplaceAllFunc(text, func(found []byte) []byte {
		seconds, fraction, _ := strings.Cut(strings.Trim(string(found), `"Z`), ".")
		return []byte(`"` + seconds + "." + (fraction + "000000")[:6] + `Z"`)
	})
}

func TestMarshalsAsProtojson(t *testing.T) {
	all := shapes()
	m := NewCodec(all)
	rapid.Check(t, func(t *rapid.T) {
		md := rapid.SampledFrom(all).Draw(t, "type")
		kind, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
		if err != nil {
			t.Fatal(err)
		}
		message := kind.New()
		drawMessage(t, message, 0)
		sameAsProtojson(t, m, message.Interface())
	})
}

func TestMarshalsEveryEmptyMessageAsProtojson(t *testing.T) {
	all := shapes()
	m, none := NewCodec(all), NewCodec(nil)
	for _, md := range all {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
		if err != nil {
			t.Fatal(err)
		}
		sameAsProtojson(t, m, kind.New().Interface())
		sameAsProtojson(t, m, kind.Zero().Interface())
		sameAsProtojson(t, none, kind.New().Interface())
	}
}

func FuzzMarshal(f *testing.F) {
	m := NewCodec(shapes())
	for _, seed := range []proto.Message{samplePathProgress(f), &progressv1.ListEventsResponse{NextAfterSequence: 1 << 60}} {
		wire, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, message := range []proto.Message{&progressv1.PathProgress{}, &progressv1.ListEventsResponse{}, &progressv1.ModuleProgressDetail{}} {
			if proto.Unmarshal(wire, message) == nil {
				sameAsProtojson(t, m, message)
			}
		}
	})
}

func TestMarshalerServesStreamsAndOtherValues(t *testing.T) {
	m := NewCodec(shapes())
	var out bytes.Buffer
	if err := m.NewEncoder(&out).Encode(&progressv1.AwardRef{Id: "a"}); err != nil || out.String() != "{\"id\":\"a\",\"provisional\":false}\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if b, err := m.Marshal([]int{1}); err != nil || string(b) != "[1]" {
		t.Errorf("%q, %v", b, err)
	}
	var s string
	if err := m.Unmarshal([]byte(`"x"`), &s); err != nil || s != "x" {
		t.Errorf("%q, %v", s, err)
	}
	if string(m.Delimiter()) != "\n" || m.ContentType(nil) != "application/json" {
		t.Error("delimiter or content type")
	}
}
