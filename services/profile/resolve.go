package profile

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// resolveAttempts is more than one race can use up: a subject that is taken when a learner
// is made for it is found at the next look, unless an admin unlinks it between the two.
const resolveAttempts = 3

// Hints are what a token has of its bearer. They fill a learner at first sight, and
// are never looked at again: the learner's own edits count from then on.
type Hints struct {
	DisplayName, Email, Locale, TimeZone string
}

// Resolve returns the learner that an identity belongs to, and makes one at first sight.
// Callers that see the same new identity at once, in however many replicas, get the same
// learner. Hints that are not valid are dropped: no learner is refused for what
// their token calls them. Returns Invalid when the identity itself is no identity.
func (s *Service) Resolve(ctx context.Context, subject Subject, hints Hints) (Resolved, error) {
	var v errs.Violations
	checkSubject(&v, "subject.", subject)
	if err := v.Err(); err != nil {
		return Resolved{}, err
	}
	for range resolveAttempts {
		found, err := s.learners.BySubject(ctx, subject)
		if errs.ReasonOf(err) != errs.ReasonSubjectUnknown {
			return found, err
		}
		found, err = s.create(ctx, subject, hints)
		if errs.ReasonOf(err) != errs.ReasonSubjectTaken {
			return found, err
		}
		// Another caller was quicker, and has committed: look again.
	}
	return Resolved{}, errs.New(errs.Aborted, errs.ReasonSubjectTaken, "the subject changes hands at this moment; try again")
}

// create creates the learner of a new identity.
func (s *Service) create(ctx context.Context, subject Subject, hints Hints) (Resolved, error) {
	learner := fromHints(hints)
	learner.Subjects = []Subject{subject}
	learner, err := s.made(learner)
	if err != nil {
		return Resolved{}, err
	}
	err = s.withRules(ctx, func(rules RuleSet) (current bool, err error) {
		a := Arrival{Learner: learner, Rules: rules.Version}
		a.Joined = rules.judge(learner.ID, learner.Facts(), nil, learner.CreateTime)
		a.Changes = append([]Change{{Time: learner.CreateTime, Learner: learner.change()}}, changesOf(nil, a.Joined, byCohort)...)
		_, current, err = s.learners.SignIn(ctx, a)
		return current, err
	})
	if err != nil {
		return Resolved{}, err
	}
	s.created(ctx, learner.ID)
	return Resolved{LearnerID: learner.ID, TimeZone: learner.TimeZone, TimeZoneTime: learner.TimeZoneTime}, nil
}

// fromHints returns a learner of those hints that an edit by the learner could have set.
func fromHints(h Hints) Learner {
	l := normalized(Learner{DisplayName: h.DisplayName, Email: h.Email, Locale: h.Locale, TimeZone: h.TimeZone})
	for _, hint := range []struct {
		text  *string
		check func(v *errs.Violations, field, text string)
	}{
		{&l.DisplayName, checkDisplayName},
		{&l.Email, checkEmail},
		{&l.Locale, checkLocale},
		{&l.TimeZone, checkTimeZone},
	} {
		var v errs.Violations
		if hint.check(&v, "", *hint.text); len(v) > 0 {
			*hint.text = ""
		}
	}
	return l
}
