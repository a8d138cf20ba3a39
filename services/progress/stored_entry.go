package progress

import (
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/tagged"
)

// A log entry is stored as a few columns that statements ask for (learner, sequence, event, module,
// voided event, reception) and one form with all the rest. Types and verbs without a letter stand there by
// name, and fields may be added: neither needs another format. Times are before others that they are near to.

// typeLetter is a type as it is stored.
func typeLetter(t RecordType) string {
	switch t {
	case RecordEvent:
		return ""
	case RecordEnrolled:
		return "E"
	case RecordEnrollmentChanged:
		return "C"
	case RecordUpgraded:
		return "U"
	case RecordAwarded:
		return "A"
	case RecordRevoked:
		return "R"
	case RecordReinstated:
		return "T"
	default:
		return string(t)
	}
}

func typeOf(letter string) RecordType {
	return named(letter, typeLetter, RecordEnrolled, RecordEnrollmentChanged, RecordUpgraded, RecordAwarded, RecordRevoked, RecordReinstated)
}

// verbLetter is a verb as it is stored.
func verbLetter(v Verb) string {
	switch v {
	case Initialized:
		return "I"
	case Progressed:
		return "P"
	case Completed:
		return "C"
	case Passed:
		return "A"
	case Failed:
		return "F"
	case Waived:
		return "W"
	case Voided:
		return "V"
	default:
		return string(v)
	}
}

func verbOf(letter string) Verb {
	return named(letter, verbLetter, Initialized, Progressed, Completed, Passed, Failed, Waived, Voided)
}

// named returns which of all is stored as the letter; else what stands there is the name.
func named[T ~string](letter string, letterOf func(T) string, all ...T) T {
	for _, name := range all {
		if letterOf(name) == letter {
			return name
		}
	}
	return T(letter)
}

// AppendEntry appends the stored form of all of a record that is no column.
func AppendEntry(b []byte, r *Record) []byte {
	e := &r.Event
	b = append(b, storedFormat)
	effective := r.EffectiveAt.UnixMicro()
	b = tagged.Text(b, 1, typeLetter(r.Type))
	b = tagged.Int(b, 2, r.ReceivedAt.UnixMicro()-effective)
	if r.PayloadHash != [32]byte{} {
		b = tagged.Bytes(b, 3, r.PayloadHash[:])
	}
	b = tagged.Int(b, 4, e.ModuleVersion)
	b = tagged.Text(b, 5, e.UnitID)
	b = tagged.Text(b, 6, verbLetter(e.Verb))
	b = tagged.Float(b, 7, e.Score)
	b = tagged.Float(b, 8, e.Progress)
	if !e.OccurredAt.IsZero() {
		before := int(effective - e.OccurredAt.UnixMicro())
		b = tagged.OptionalInt(b, 9, &before)
	}
	b = tagged.Bool(b, 10, r.Adjusted)
	b = tagged.Text(b, 11, r.Zone)
	b = tagged.Text(b, 12, e.DeviceID)
	b = tagged.Text(b, 13, e.TimeZone)
	if r.ActorID == r.LearnerID {
		b = tagged.Bool(b, 14, true)
	} else {
		b = tagged.ID(b, 15, r.ActorID)
	}
	b = tagged.Text(b, 16, e.Reason)
	b = tagged.Text(b, 17, r.Reason)
	if r.Effects != nil {
		b = appendEffects(b, 18, r.Effects)
	}
	return b
}

// DecodeEntry reads what AppendEntry wrote into a record that has what is in columns. It returns Internal for
// anything else.
func DecodeEntry(stored string, out *Record) error {
	out.Type, out.EffectiveAt = RecordEvent, out.ReceivedAt
	e := &out.Event
	r := storedReader(stored)
	for r.Next() {
		switch r.Field() {
		case 1:
			out.Type = typeOf(r.Text())
		case 2:
			out.EffectiveAt = microTime(out.ReceivedAt.UnixMicro() - r.Int())
		case 3:
			hash := r.Form()
			if len(hash) != len(out.PayloadHash) {
				r.Fail(errFormat)
			}
			copy(out.PayloadHash[:], hash)
		case 4:
			e.ModuleVersion = int(r.Int())
		case 5:
			e.UnitID = r.Text()
		case 6:
			e.Verb = verbOf(r.Text())
		case 7:
			e.Score = r.Float()
		case 8:
			e.Progress = r.Float()
		case 9:
			e.OccurredAt = microTime(out.EffectiveAt.UnixMicro() - r.Int())
		default:
			decodeAccount(&r, out)
		}
	}
	if err := r.Err(); err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a stored log entry cannot be read")
	}
	return nil
}

// decodeAccount reads a field of how a record came about and what it did.
func decodeAccount(r *tagged.Reader, out *Record) {
	switch r.Field() {
	case 10:
		out.Adjusted = r.Bool()
	case 11:
		out.Zone = r.Text()
	case 12:
		out.Event.DeviceID = r.Text()
	case 13:
		out.Event.TimeZone = r.Text()
	case 14:
		out.ActorID = out.LearnerID
	case 15:
		out.ActorID = r.Text()
	case 16:
		out.Event.Reason = r.Text()
	case 17:
		out.Reason = r.Text()
	case 18:
		var err error
		out.Effects, err = decodeEffects(r.Form(), out.LearnerID)
		r.Fail(err)
	}
}

func microTime(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
