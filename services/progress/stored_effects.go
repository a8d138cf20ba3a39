package progress

import (
	"time"

	"github.com/preceptor-dev/preceptor/internal/tagged"
)

// appendTime appends a time in microseconds; the zero time is not written.
func appendTime(b []byte, field int, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	micros := int(t.UnixMicro())
	return tagged.OptionalInt(b, field, &micros)
}

func appendEffects(b []byte, field int, e *Effects) []byte {
	b, at := tagged.Begin(b, field)
	for i := range e.Enrollments {
		b = appendEnrollment(b, 1, &e.Enrollments[i])
	}
	for i := range e.Awards {
		b = appendAward(b, 2, &e.Awards[i])
	}
	return tagged.End(tagged.OptionalInt(b, 3, e.PercentBefore), at)
}

// decodeEffects reads the effects of a learner's record.
func decodeEffects(form, learnerID string) (*Effects, error) {
	out := new(Effects)
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			e, err := decodeEnrollment(r.Form())
			r.Fail(err)
			e.LearnerID = learnerID
			out.Enrollments = append(out.Enrollments, e)
		case 2:
			a, err := decodeAward(r.Form())
			r.Fail(err)
			a.LearnerID = learnerID
			out.Awards = append(out.Awards, a)
		case 3:
			out.PercentBefore = r.OptionalInt()
		}
	}
	return out, r.Err()
}

func appendEnrollment(b []byte, field int, e *Enrollment) []byte {
	b, at := tagged.Begin(b, field)
	b = tagged.ID(b, 1, e.ID)
	b = tagged.Text(b, 2, e.PathID)
	b = tagged.Int(b, 3, e.PathVersion)
	b = tagged.Text(b, 4, e.State)
	b = appendTime(b, 5, e.EnrollTime)
	b = appendTime(b, 6, e.UpdateTime)
	b = tagged.OptionalInt(b, 7, e.PreviousPercent)
	if c := e.PercentChange; c != nil {
		var change int
		b, change = tagged.Begin(b, 8)
		b = tagged.Text(b, 1, c.Code)
		b = tagged.Int(b, 2, c.PathVersion)
		b = tagged.Text(b, 3, c.ModuleID)
		b = tagged.End(tagged.Int(b, 4, c.ModuleVersion), change)
	}
	return tagged.End(b, at)
}

func decodeEnrollment(form string) (e Enrollment, err error) {
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			e.ID = r.Text()
		case 2:
			e.PathID = r.Text()
		case 3:
			e.PathVersion = int(r.Int())
		case 4:
			e.State = EnrollmentState(r.Text())
		case 5:
			e.EnrollTime = microTime(r.Int())
		case 6:
			e.UpdateTime = microTime(r.Int())
		case 7:
			e.PreviousPercent = r.OptionalInt()
		case 8:
			e.PercentChange, err = decodeChange(r.Form())
			r.Fail(err)
		}
	}
	return e, r.Err()
}

func decodeChange(form string) (*PercentChange, error) {
	c := new(PercentChange)
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			c.Code = ChangeCode(r.Text())
		case 2:
			c.PathVersion = int(r.Int())
		case 3:
			c.ModuleID = r.Text()
		case 4:
			c.ModuleVersion = int(r.Int())
		}
	}
	return c, r.Err()
}

func appendAward(b []byte, field int, a *Award) []byte {
	b, at := tagged.Begin(b, field)
	b = tagged.ID(b, 1, a.ID)
	b = tagged.Int(b, 2, a.Number)
	b = tagged.Text(b, 3, a.PathID)
	b = tagged.Int(b, 4, a.PathVersion)
	b = tagged.Text(b, 5, a.MilestoneID)
	b = tagged.Text(b, 6, a.Title)
	b = appendTime(b, 7, a.AwardTime)
	for i := range a.Completions {
		c := &a.Completions[i]
		var completion int
		b, completion = tagged.Begin(b, 8)
		b = tagged.Text(b, 1, c.ModuleID)
		b = tagged.Int(b, 2, c.Version)
		b = tagged.Int(b, 3, c.Cycle)
		b = tagged.End(appendTime(b, 4, c.CompleteTime), completion)
	}
	b = appendMilestone(b, 9, &a.Rule)
	b = tagged.Int(b, 10, a.FromSequence)
	b = tagged.Int(b, 11, a.ToSequence)
	b = appendTime(b, 12, a.RevokeTime)
	b = tagged.Text(b, 13, a.RevokeReason)
	b = tagged.Int(b, 14, a.Revocations)
	b = tagged.Int(b, 15, a.RevokedAt)
	return tagged.End(tagged.Int(b, 16, a.Rules), at)
}

func decodeAward(form string) (a Award, err error) {
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			a.ID = r.Text()
		case 2:
			a.Number = int(r.Int())
		case 3:
			a.PathID = r.Text()
		case 4:
			a.PathVersion = int(r.Int())
		case 5:
			a.MilestoneID = r.Text()
		case 6:
			a.Title = r.Text()
		case 7:
			a.AwardTime = microTime(r.Int())
		case 8:
			c, err := decodeCompletion(r.Form())
			r.Fail(err)
			a.Completions = append(a.Completions, c)
		case 9:
			a.Rule, err = decodeMilestone(r.Form())
			r.Fail(err)
		default:
			decodeGiven(&r, &a)
		}
	}
	return a, r.Err()
}

// decodeGiven reads a field of how an award was given and taken back.
func decodeGiven(r *tagged.Reader, a *Award) {
	switch r.Field() {
	case 10:
		a.FromSequence = r.Int()
	case 11:
		a.ToSequence = r.Int()
	case 12:
		a.RevokeTime = microTime(r.Int())
	case 13:
		a.RevokeReason = r.Text()
	case 14:
		a.Revocations = int(r.Int())
	case 15:
		a.RevokedAt = r.Int()
	case 16:
		a.Rules = int(r.Int())
	}
}

func decodeCompletion(form string) (c Completion, err error) {
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			c.ModuleID = r.Text()
		case 2:
			c.Version = int(r.Int())
		case 3:
			c.Cycle = int(r.Int())
		case 4:
			c.CompleteTime = microTime(r.Int())
		}
	}
	return c, r.Err()
}

func appendMilestone(b []byte, field int, m *Milestone) []byte {
	b, at := tagged.Begin(b, field)
	b = tagged.Text(b, 1, m.ID)
	b = tagged.Text(b, 2, m.Title)
	for i := range m.Groups {
		var group int
		b, group = tagged.Begin(b, 3)
		for _, id := range m.Groups[i].ModuleIDs {
			b = tagged.Text(b, 1, id)
		}
		b = tagged.End(tagged.OptionalInt(b, 2, m.Groups[i].RequiredCount), group)
	}
	return tagged.End(b, at)
}

func decodeMilestone(form string) (m Milestone, err error) {
	r := tagged.NewReader(form)
	for r.Next() {
		switch r.Field() {
		case 1:
			m.ID = r.Text()
		case 2:
			m.Title = r.Text()
		case 3:
			var g Group
			inner := tagged.NewReader(r.Form())
			for inner.Next() {
				switch inner.Field() {
				case 1:
					g.ModuleIDs = append(g.ModuleIDs, inner.Text())
				case 2:
					g.RequiredCount = inner.OptionalInt()
				}
			}
			r.Fail(inner.Err())
			m.Groups = append(m.Groups, g)
		}
	}
	return m, r.Err()
}
