package canonical_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/canonical"
)

// TestJSON holds our canonical JSON to another implementation of RFC 8785.
func TestJSON(t *testing.T) {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		scalars := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64().AsAny(), rapid.IntRange(-1000, 1000).AsAny(),
			rapid.SampledFrom([]any{1e21, 1e-7, 1e-6, 5e-324, 0.1, math.Copysign(0, -1), "\u2028\u007f\b\f\x01\"\\/<&>", "\U0001F600", "\uFFFF"}),
		}
		if depth > 0 {
			scalars = append(scalars, rapid.SliceOfN(value(depth-1), 0, 3).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 4).AsAny())
		}
		return rapid.OneOf(scalars...)
	}
	rapid.Check(t, func(r *rapid.T) {
		v := value(3).Draw(r, "value")
		text, err := json.Marshal([]any{v})
		if err != nil {
			r.Fatal(err)
		}
		want, err := jcs.Transform(text)
		if err != nil {
			r.Skip(err) // it refuses some noncharacters
		}
		got, err := canonical.JSON([]any{v})
		if err != nil || string(got) != string(want) {
			r.Fatalf("%s, %v, want %s", got, err, want)
		}
	})
}

// TestHash compares with the output of sha256sum.
func TestHash(t *testing.T) {
	got, err := canonical.Hash(map[string]any{"b": "\u2028<", "a": 1.0})
	if want := "3585315327fac4a18d02504d4803686f286cc211b511930fcaa180ea0b882f62"; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if got, err := canonical.Hash(math.NaN()); err == nil {
		t.Errorf("what is no JSON has the hash %s", got)
	}
}
