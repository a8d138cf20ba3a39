package profile

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/zone"
)

// The limits, in characters, are those of profile.proto.
const (
	maxSubjects    = 20
	maxIssuer      = 512
	maxSubject     = 255
	maxDisplayName = 200
	maxEmail       = 254
	maxLocale      = 35
	maxTimeZone    = 64
	maxSlug        = 63
	maxMinutes     = 7 * 24 * 60
	maxUnits       = 1000
)

// normalized returns the learner as it is stored: without blanks around texts, the locale in
// the case that BCP 47 recommends.
func normalized(l Learner) Learner {
	for _, text := range []*string{&l.DisplayName, &l.Email, &l.Locale, &l.TimeZone, &l.TargetRole} {
		*text = strings.TrimSpace(*text)
	}
	if tag, err := language.Raw.Parse(l.Locale); err == nil {
		l.Locale = tag.String()
	}
	if len(l.Subjects) == 0 {
		l.Subjects = nil // So that no subjects are always the same value.
	}
	return l
}

// validate checks a whole learner and returns Invalid with every violation at once.
func validate(l Learner) error {
	var v violations
	v.subjects(l.Subjects)
	v.check("displayName", checkDisplayName(l.DisplayName))
	v.check("email", checkEmail(l.Email))
	v.check("locale", checkLocale(l.Locale))
	v.check("timeZone", checkTimeZone(l.TimeZone))
	v.check("background", checkBackground(l.Background))
	v.check("targetRole", checkSlug(l.TargetRole))
	v.check("weeklyGoal.minutes", checkRange(l.WeeklyGoal.Minutes, maxMinutes))
	v.check("weeklyGoal.units", checkRange(l.WeeklyGoal.Units, maxUnits))
	return v.err()
}

// fault is what is wrong with a value; the zero fault is nothing.
type fault struct{ reason, description string }

type violations []errs.Violation

func (v *violations) check(field string, f fault) {
	if f != (fault{}) {
		*v = append(*v, errs.Violation{Field: field, Description: f.description, Reason: f.reason})
	}
}

func (v *violations) err() error {
	if len(*v) == 0 {
		return nil
	}
	return errs.InvalidFields(*v)
}

func (v *violations) subjects(subjects []Subject) {
	if len(subjects) > maxSubjects {
		v.check("subjects", fault{errs.ReasonTooMany, fmt.Sprintf("must be at most %d", maxSubjects)})
	}
	seen := make(map[Subject]bool, len(subjects))
	for i, s := range subjects {
		field := fmt.Sprintf("subjects[%d]", i)
		v.subject(field+".", s)
		if seen[s] {
			v.check(field, fault{errs.ReasonDuplicate, "is in the list twice"})
		}
		seen[s] = true
	}
}

func (v *violations) subject(prefix string, s Subject) {
	v.check(prefix+"issuer", checkRequired(s.Issuer, maxIssuer))
	v.check(prefix+"subject", checkRequired(s.Subject, maxSubject))
}

// checkRequired is for the two halves of an identity. Any issuer may name people as it
// likes, but for NUL, which not every database stores.
func checkRequired(text string, limit int) fault {
	switch {
	case text == "":
		return fault{errs.ReasonRequired, "must not be empty"}
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return fault{errs.ReasonMalformed, "must be UTF-8 text without the character NUL"}
	}
	return checkLength(text, limit)
}

func checkLength(text string, limit int) fault {
	if utf8.RuneCountInString(text) > limit {
		return fault{errs.ReasonTooLong, fmt.Sprintf("must be at most %d characters", limit)}
	}
	return fault{}
}

// checkText refuses control characters: no name or address holds any.
func checkText(text string, limit int) fault {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fault{errs.ReasonMalformed, "must be UTF-8 text without control characters"}
	}
	return checkLength(text, limit)
}

func checkDisplayName(name string) fault { return checkText(name, maxDisplayName) }

// checkEmail accepts any address that mail could be sent to: whether it exists, only a
// mail would show.
func checkEmail(email string) fault {
	if f := checkText(email, maxEmail); email == "" || f != (fault{}) {
		return f
	}
	if addr, err := mail.ParseAddress(email); err != nil || addr.Address != email {
		return fault{errs.ReasonMalformed, `must be an email address: "ana@example.org"`}
	}
	return fault{}
}

func checkLocale(locale string) fault {
	if f := checkText(locale, maxLocale); locale == "" || f != (fault{}) {
		return f
	}
	if _, err := language.Raw.Parse(locale); err != nil {
		return fault{errs.ReasonMalformed, `must be a BCP 47 language tag: "en-US"`}
	}
	return fault{}
}

// checkTimeZone refuses names that only some machines know, or understand as themselves: "Local".
func checkTimeZone(name string) fault {
	if f := checkText(name, maxTimeZone); name == "" || f != (fault{}) {
		return f
	}
	if !zone.Known(name) {
		return fault{errs.ReasonUnknownValue, `must be an IANA time zone: "Europe/Berlin"`}
	}
	return fault{}
}

func checkBackground(b Background) fault {
	switch b {
	case "", BackgroundAI, BackgroundClinical, BackgroundResearch, BackgroundProduct, BackgroundOther:
		return fault{}
	}
	return fault{errs.ReasonUnknownValue, "must be AI, CLINICAL, RESEARCH, PRODUCT or OTHER"}
}

func checkSlug(slug string) fault {
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	if strings.ContainsFunc(slug, other) || strings.HasPrefix(slug, "-") || strings.HasSuffix(slug, "-") {
		return fault{errs.ReasonMalformed, `must be lower-case letters, digits and inner hyphens: "clinical-ai-engineer"`}
	}
	return checkLength(slug, maxSlug)
}

func checkRange(n, limit int32) fault {
	if n < 0 || n > limit {
		return fault{errs.ReasonOutOfRange, fmt.Sprintf("must be 0 to %d", limit)}
	}
	return fault{}
}
