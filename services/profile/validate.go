package profile

import (
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"

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
	maxAttributes  = 50
	maxName        = 63
	maxValue       = 200
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
	l.Attributes = normalizedAttributes(l.Attributes)
	return l
}

// normalizedAttributes returns attributes without blanks around them, and without those that are empty; nil for none.
func normalizedAttributes(attributes map[string]string) map[string]string {
	var kept map[string]string
	for name, value := range attributes {
		if value = strings.TrimSpace(value); value == "" {
			continue
		}
		if kept == nil {
			kept = make(map[string]string, len(attributes))
		}
		kept[name] = value
	}
	return kept
}

// validate checks a whole learner and returns Invalid with every violation at once.
func validate(l Learner) error {
	var v errs.Violations
	checkSubjects(&v, l.Subjects)
	checkDisplayName(&v, "displayName", l.DisplayName)
	checkEmail(&v, "email", l.Email)
	checkLocale(&v, "locale", l.Locale)
	checkTimeZone(&v, "timeZone", l.TimeZone)
	errs.OneOf(&v, "background", l.Background, BackgroundAI, BackgroundClinical, BackgroundResearch, BackgroundProduct, BackgroundOther)
	checkSlug(&v, "targetRole", l.TargetRole)
	checkRange(&v, "weeklyGoal.minutes", l.WeeklyGoal.Minutes, maxMinutes)
	checkRange(&v, "weeklyGoal.units", l.WeeklyGoal.Units, maxUnits)
	checkAttributes(&v, l.Attributes)
	return v.Err()
}

func checkSubjects(v *errs.Violations, subjects []Subject) {
	v.Count("subjects", len(subjects), maxSubjects)
	seen := make(map[Subject]bool, len(subjects))
	for i, s := range subjects {
		field := fmt.Sprintf("subjects[%d]", i)
		checkSubject(v, field+".", s)
		if seen[s] {
			v.Addf(field, errs.ReasonDuplicate, "is in the list twice")
		}
		seen[s] = true
	}
}

func checkSubject(v *errs.Violations, prefix string, s Subject) {
	checkRequired(v, prefix+"issuer", s.Issuer, maxIssuer)
	checkRequired(v, prefix+"subject", s.Subject, maxSubject)
}

// checkRequired is for the two halves of an identity. Any issuer may name people as it likes.
func checkRequired(v *errs.Violations, field, text string, limit int) {
	if text == "" {
		v.Addf(field, errs.ReasonRequired, "must not be empty")
	}
	v.Encoding(field, text)
	v.Length(field, text, limit)
}

func checkDisplayName(v *errs.Violations, field, name string) { v.Line(field, name, maxDisplayName) }

// checkForm is Line for a text that, unless it is empty, must have a form.
func checkForm(v *errs.Violations, field, text string, limit int, wrong func() (reason, description string)) {
	before := len(*v)
	if v.Line(field, text, limit); text == "" || len(*v) > before {
		return
	}
	if reason, description := wrong(); reason != "" {
		v.Addf(field, reason, "%s", description)
	}
}

// checkEmail accepts any address that mail could be sent to: whether it exists, only a
// mail would show.
func checkEmail(v *errs.Violations, field, email string) {
	checkForm(v, field, email, maxEmail, func() (string, string) {
		if addr, err := mail.ParseAddress(email); err != nil || addr.Address != email {
			return errs.ReasonMalformed, `must be an email address: "ana@example.org"`
		}
		return "", ""
	})
}

func checkLocale(v *errs.Violations, field, locale string) {
	checkForm(v, field, locale, maxLocale, func() (string, string) {
		if _, err := language.Raw.Parse(locale); err != nil {
			return errs.ReasonMalformed, `must be a BCP 47 language tag: "en-US"`
		}
		return "", ""
	})
}

// checkTimeZone refuses names that only some machines know, or understand as themselves: "Local".
func checkTimeZone(v *errs.Violations, field, name string) {
	checkForm(v, field, name, maxTimeZone, func() (string, string) {
		if !zone.Known(name) {
			return errs.ReasonUnknownValue, `must be an IANA time zone: "Europe/Berlin"`
		}
		return "", ""
	})
}

func checkSlug(v *errs.Violations, field, slug string) {
	checkForm(v, field, slug, maxSlug, func() (string, string) {
		other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
		if strings.ContainsFunc(slug, other) || strings.HasPrefix(slug, "-") || strings.HasSuffix(slug, "-") {
			return errs.ReasonMalformed, `must be lower-case letters, digits and inner hyphens: "clinical-ai-engineer"`
		}
		return "", ""
	})
}

func checkRange(v *errs.Violations, field string, n, limit int32) {
	if n < 0 || n > limit {
		v.Addf(field, errs.ReasonOutOfRange, "must be between 0 and %d", limit)
	}
}

func checkAttributes(v *errs.Violations, attributes map[string]string) {
	v.Count("attributes", len(attributes), maxAttributes)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		field := "attributes." + name
		if !isAttribute(name) {
			v.Addf(field, errs.ReasonMalformed, `must have a name of letters, digits and "_" that begins with a letter, of at most %d characters`, maxName)
		}
		v.Line(field, attributes[name], maxValue)
	}
	if date := attributes[HireDate]; date != "" {
		if _, err := time.Parse(time.DateOnly, date); err != nil {
			v.Addf("attributes."+HireDate, errs.ReasonMalformed, `must be a date: "2026-03-01"`)
		}
	}
}

// isAttribute reports whether an attribute may have a name.
func isAttribute(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}
