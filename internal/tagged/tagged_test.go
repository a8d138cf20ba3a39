package tagged_test

import (
	"encoding/hex"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/tagged"
)

// all has a field of every kind.
type all struct {
	Int      int64
	Since    int64
	Optional *int
	Bool     bool
	Float    *float64
	Text     string
	ID       string
	Bytes    string
	Ints     []int
	Inner    *all
}

const base = 1_800_000_000_000_000

func (a *all) append(b []byte) []byte {
	b = tagged.Int(b, 1, a.Int)
	b = tagged.Since(b, 2, a.Since, base)
	b = tagged.OptionalInt(b, 3, a.Optional)
	b = tagged.Bool(b, 4, a.Bool)
	b = tagged.Float(b, 5, a.Float)
	b = tagged.Text(b, 6, a.Text)
	b = tagged.ID(b, 7, a.ID)
	b = tagged.Bytes(b, 8, []byte(a.Bytes))
	b = tagged.Ints(b, 1000, a.Ints)
	if a.Inner != nil {
		var at int
		b, at = tagged.Begin(b, 10)
		b = tagged.End(a.Inner.append(b), at)
	}
	return b
}

func read(form string) (*all, error) {
	a := new(all)
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			a.Int = r.Int()
		case 2:
			a.Since = r.Since(base)
		case 3:
			a.Optional = r.OptionalInt()
		case 4:
			a.Bool = r.Bool()
		case 5:
			a.Float = r.Float()
		case 6:
			a.Text = r.Text()
		case 7:
			a.ID = r.Text()
		case 8:
			a.Bytes = r.Form()
		case 1000:
			a.Ints = r.Ints()
		case 10:
			inner, err := read(r.Form())
			r.Fail(err)
			a.Inner = inner
		}
	}
	return a, r.Err()
}

func samples() []*all {
	const id = "0199a1b2-8d4e-7f50-9b6c-0123456789af"
	return []*all{
		{},
		{Inner: &all{}},
		{
			Int: -1, Since: base - 3, Optional: new(0), Bool: true, Float: new(0.0), Text: "ü", ID: id, Bytes: "\x00\xff", Ints: []int{0},
			Inner: &all{ID: "no UUID", Float: new(-0.5), Ints: []int{5, 7, 3, -2, math.MaxInt, math.MinInt}},
		},
		{Int: math.MaxInt64, Since: math.MinInt64, Optional: new(math.MinInt), ID: strings.ToUpper(id), Inner: &all{Text: strings.Repeat("x", 127)}},
		{Int: math.MinInt64, Inner: &all{Text: strings.Repeat("y", 300), Inner: &all{Text: strings.Repeat("z", 1<<14)}}},
	}
}

func TestFormsComeBack(t *testing.T) {
	t.Parallel()
	for i, want := range samples() {
		got, err := read(string(want.append(nil)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %+v, %v; want %+v", i, got, err, want)
		}
	}
}

// The bytes are what is stored: they stay as they are.
func TestBytes(t *testing.T) {
	t.Parallel()
	want := "04" + "01" + "0805" + "0c00" + "1002" + "15000000000000e03f" + "1a02c3bc" + "1f0199a1b28d4e7f509b6c0123456789af" + "220200ff" + "a21f" + "03020202" + "2a00"
	a := all{
		Int: -1, Since: base - 3, Optional: new(0), Bool: true, Float: new(0.5), Text: "ü", ID: "0199a1b2-8d4e-7f50-9b6c-0123456789af", Bytes: "\x00\xff",
		Ints: []int{1, 2, 3}, Inner: &all{},
	}
	if got := hex.EncodeToString(a.append(nil)); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

// A reader that knows few fields passes over the others.
func TestUnknownFieldsArePassedOver(t *testing.T) {
	t.Parallel()
	for i, a := range samples() {
		b := a.append(nil)
		b = tagged.Text(b, 99, "last")
		last := ""
		r := tagged.NewReader(string(b))
		for r.Next() {
			if r.Field() == 99 {
				last = r.Text()
			}
		}
		if r.Err() != nil || last != "last" {
			t.Errorf("%d: %q, %v", i, last, r.Err())
		}
	}
}

func TestMalformedForms(t *testing.T) {
	t.Parallel()
	whole := samples()[2].append(nil)
	for name, form := range map[string]string{
		"cut off":                     string(whole[:len(whole)-1]),
		"a header without a value":    "\x04",
		"a header without an end":     "\x84",
		"a number without an end":     "\x04\x80",
		"a number of eleven bytes":    "\x04" + strings.Repeat("\x80", 10) + "\x01",
		"a number beyond 64 bits":     "\x04" + strings.Repeat("\x80", 9) + "\x02",
		"a length beyond the form":    "\x1a\x02x",
		"a length beyond all":         "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"half a float":                "\x15\x00\x00\x00\x00",
		"half a UUID":                 "\x1f\x00",
		"no number":                   "\x15\x00\x00\x00\x00\x00\x00\xf8\x7f",
		"endless":                     "\x15\x00\x00\x00\x00\x00\x00\xf0\x7f",
		"a text where a number is":    "\x06\x01x",
		"a number where a text is":    "\x18\x02",
		"a number where a float is":   "\x14\x02",
		"a UUID where bytes are":      "\x23" + strings.Repeat("\x00", 16),
		"no numbers where there were": "\xa2\x1f\x00",
		"numbers without an end":      "\xa2\x1f\x01\x80",
		"malformed within":            "\x2a\x01\x04",
	} {
		if a, err := read(form); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestUUIDs(t *testing.T) {
	t.Parallel()
	for range 100 {
		want := uuid.New()
		id, ok := tagged.ParseUUID(want.String())
		if !ok || uuid.UUID(id) != want || tagged.FormatUUID(id[:]) != want.String() || tagged.FormatUUID(string(id[:])) != want.String() {
			t.Errorf("%s: %x, %v", want, id, ok)
		}
	}
	good := "0199a1b2-8d4e-7f50-9b6c-0123456789af"
	for i := range good {
		for _, c := range []byte{'g', 'G', 'A', '-', '/', ':', '`', 0, 0xff} {
			bad := []byte(good)
			if bad[i] == c {
				continue
			}
			bad[i] = c
			if _, ok := tagged.ParseUUID(string(bad)); ok {
				t.Errorf("%q is one", bad)
			}
		}
	}
	for _, bad := range []string{"", good[1:], good + "0", "urn:uuid:" + good} {
		if _, ok := tagged.ParseUUID(bad); ok {
			t.Errorf("%q is one", bad)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, a := range samples() {
		f.Add(string(a.append(nil)))
	}
	f.Fuzz(func(t *testing.T, form string) {
		a, err := read(form)
		if err != nil {
			return
		}
		once := a.append(nil)
		again, err := read(string(once))
		if err != nil || !slices.Equal(again.append(nil), once) {
			t.Errorf("%x reads as %+v, which comes back as %+v, %v", form, a, again, err)
		}
	})
}
