package wire

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// samplePathProgress reads a learner's progress on a path as large as real ones are.
func samplePathProgress(tb testing.TB) *progressv1.PathProgress {
	tb.Helper()
	text, err := os.ReadFile("testdata/path-progress.json")
	if err != nil {
		tb.Fatal(err)
	}
	p := &progressv1.PathProgress{}
	if err := protojson.Unmarshal(text, p); err != nil {
		tb.Fatal(err)
	}
	return p
}

func BenchmarkMarshal(b *testing.B) {
	p := samplePathProgress(b)
	codec := NewCodec([]protoreflect.MessageDescriptor{p.ProtoReflect().Descriptor()})
	for name, marshal := range map[string]func() ([]byte, error){
		"codec":     func() ([]byte, error) { return codec.Marshal(p) },
		"protojson": func() ([]byte, error) { return protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(p) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				text, err := marshal()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(text)))
			}
		})
	}
}

func BenchmarkReadBatch(b *testing.B) {
	one, fifty := `{"events":[`+oneEvent+`]}`, `{"events":[`+strings.Repeat(oneEvent+",", 49)+oneEvent+`]}`
	for name, body := range map[string]string{"1 event": one, "50 events": fifty} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := ReadBatch([]byte(body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("1 event by protojson", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(one)))
		for b.Loop() {
			if err := protojson.Unmarshal([]byte(one), &progressv1.BatchRecordEventsRequest{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
