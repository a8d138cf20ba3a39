package progress

import (
	"errors"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/tagged"
)

// storedFormat is the first byte of what is stored of facts and of a log entry. Another number is of a
// form that is read in another way; a field that is added needs none.
const storedFormat = 1

// AppendFacts appends the stored form of facts: the same facts always give the same bytes.
func AppendFacts(b []byte, f *Facts) []byte {
	b = append(b, storedFormat)
	b = tagged.Text(b, 1, f.Key)
	b = tagged.Int(b, 2, f.LastAt)
	b = tagged.Since(b, 3, f.LastOccurred, f.LastAt)
	b = tagged.ID(b, 4, f.LastID)
	b = tagged.Text(b, 5, f.Zone)
	b = tagged.Since(b, 6, f.FirstAt, f.LastAt)
	for i := range f.Cycles {
		b = appendCycle(b, 7, &f.Cycles[i], f.LastAt)
	}
	if f.Aside != nil {
		b = appendCycle(b, 8, f.Aside, f.LastAt)
	}
	if r := f.Resume; r != nil {
		var at int
		b, at = tagged.Begin(b, 9)
		b = tagged.Text(b, 1, r.UnitID)
		b = tagged.Float(b, 2, r.Progress)
		b = tagged.Since(b, 3, r.OccurredAt, f.LastAt)
		b = tagged.Since(b, 4, r.At, f.LastAt)
		b = tagged.End(tagged.ID(b, 5, r.EventID), at)
	}
	b = tagged.Ints(b, 10, f.Days)
	return tagged.OptionalInt(b, 11, f.VoidedFrom)
}

func appendCycle(b []byte, field int, c *CycleFacts, base int64) []byte {
	b, at := tagged.Begin(b, field)
	b = tagged.Int(b, 1, c.Number)
	b = tagged.Text(b, 2, openingLetter(c.Opening))
	b = tagged.Since(b, 3, c.BeginAt, base)
	b = tagged.Since(b, 4, c.CompleteAt, c.BeginAt)
	b = tagged.Int(b, 5, c.CompleteVersion)
	b = tagged.Text(b, 6, c.Zone)
	b = tagged.Since(b, 7, c.ExpireAt, c.BeginAt)
	b = tagged.Since(b, 8, c.WindowAt, c.BeginAt)
	if c.Chain != nil {
		var chain int
		b, chain = tagged.Begin(b, 9)
		b = tagged.Since(b, 1, c.Chain.At, c.BeginAt)
		b = tagged.End(tagged.Text(b, 2, c.Chain.Zone), chain)
	}
	b = tagged.Since(b, 10, c.WaivedAt, c.BeginAt)
	b = tagged.Ints(b, 11, c.Versions)
	for i := range c.Units {
		u := &c.Units[i]
		var unit int
		b, unit = tagged.Begin(b, 12)
		b = tagged.Text(b, 1, u.UnitID)
		b = tagged.Int(b, 2, u.Era)
		b = tagged.Since(b, 3, u.CompletedAt, c.BeginAt)
		b = tagged.Since(b, 4, u.PassedAt, c.BeginAt)
		b = tagged.Since(b, 5, u.WaivedAt, c.BeginAt)
		b = tagged.Float(b, 6, u.Score)
		b = tagged.Float(b, 7, u.Progress)
		b = tagged.Int(b, 8, u.Attempts)
		b = tagged.End(tagged.Ints(b, 9, u.Versions), unit)
	}
	b = tagged.Int(b, 13, c.FellFrom)
	b = tagged.Int(b, 14, c.FellTo)
	b = tagged.Int(b, 15, c.FirstVersion)
	return tagged.End(b, at)
}

// openingLetter is an opening as it is stored.
func openingLetter(o CycleOpening) string {
	switch o {
	case OpenedFirst:
		return "F"
	case OpenedRenewal:
		return "R"
	case OpenedMaterial:
		return "M"
	default:
		return string(o)
	}
}

// DecodeFacts reads what AppendFacts wrote. It returns Internal for anything else.
func DecodeFacts(stored string) (*Facts, error) {
	f := new(Facts)
	r := storedReader(stored)
	for r.Next() {
		switch r.Field() {
		case 1:
			f.Key = r.Text()
		case 2:
			f.LastAt = r.Int()
		case 3:
			f.LastOccurred = r.Since(f.LastAt)
		case 4:
			f.LastID = r.Text()
		case 5:
			f.Zone = r.Text()
		case 6:
			f.FirstAt = r.Since(f.LastAt)
		case 7:
			c, err := decodeCycle(r.Form(), f.LastAt)
			r.Fail(err)
			f.Cycles = append(f.Cycles, c)
		case 8:
			c, err := decodeCycle(r.Form(), f.LastAt)
			r.Fail(err)
			f.Aside = &c
		case 9:
			var err error
			f.Resume, err = decodeResume(r.Form(), f.LastAt)
			r.Fail(err)
		case 10:
			f.Days = r.Ints()
		case 11:
			f.VoidedFrom = r.OptionalInt()
		}
	}
	if err := r.Err(); err != nil {
		return nil, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "stored facts cannot be read")
	}
	return f, nil
}

func decodeCycle(form string, base int64) (c CycleFacts, err error) {
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			c.Number = int(r.Int())
		case 2:
			c.Opening = named(r.Text(), openingLetter, OpenedFirst, OpenedRenewal, OpenedMaterial)
		case 3:
			c.BeginAt = r.Since(base)
		case 4:
			c.CompleteAt = r.Since(c.BeginAt)
		case 5:
			c.CompleteVersion = int(r.Int())
		case 6:
			c.Zone = r.Text()
		case 7:
			c.ExpireAt = r.Since(c.BeginAt)
		case 8:
			c.WindowAt = r.Since(c.BeginAt)
		case 9:
			c.Chain, err = decodeChain(r.Form(), c.BeginAt)
			r.Fail(err)
		case 10:
			c.WaivedAt = r.Since(c.BeginAt)
		case 11:
			c.Versions = r.Ints()
		case 12:
			u, err := decodeUnit(r.Form(), c.BeginAt)
			r.Fail(err)
			c.Units = append(c.Units, u)
		case 13:
			c.FellFrom = int(r.Int())
		case 14:
			c.FellTo = int(r.Int())
		case 15:
			c.FirstVersion = int(r.Int())
		}
	}
	return c, r.Err()
}

func decodeUnit(form string, base int64) (u UnitFacts, err error) {
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			u.UnitID = r.Text()
		case 2:
			u.Era = int(r.Int())
		case 3:
			u.CompletedAt = r.Since(base)
		case 4:
			u.PassedAt = r.Since(base)
		case 5:
			u.WaivedAt = r.Since(base)
		case 6:
			u.Score = r.Float()
		case 7:
			u.Progress = r.Float()
		case 8:
			u.Attempts = int(r.Int())
		case 9:
			u.Versions = r.Ints()
		}
	}
	return u, r.Err()
}

func decodeResume(form string, base int64) (*Resume, error) {
	out := new(Resume)
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			out.UnitID = r.Text()
		case 2:
			out.Progress = r.Float()
		case 3:
			out.OccurredAt = r.Since(base)
		case 4:
			out.At = r.Since(base)
		case 5:
			out.EventID = r.Text()
		}
	}
	return out, r.Err()
}

func decodeChain(form string, base int64) (*Chain, error) {
	c := new(Chain)
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			c.At = r.Since(base)
		case 2:
			c.Zone = r.Text()
		}
	}
	return c, r.Err()
}

var errFormat = errors.New("the stored form is of another format")

// storedReader reads the fields of something stored, after its format.
func storedReader(stored string) tagged.Reader {
	if stored == "" || stored[0] != storedFormat {
		r := tagged.NewReader("")
		r.Fail(errFormat)
		return r
	}
	return tagged.NewReader(stored[1:])
}
