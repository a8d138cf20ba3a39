package profile

import (
	"context"
	"slices"
	"strings"
)

// Why is the reason of a recommendation.
type Why int

// The reasons.
const (
	// WhyTargetRole is for a path that leads to the learner's target role.
	WhyTargetRole Why = iota + 1
	// WhyBackground is for a path that is the way in for the learner's background.
	WhyBackground
	// WhyGeneral is for a good start when nothing fits better.
	WhyGeneral
)

// Recommendation is a path with why it is recommended.
type Recommendation struct {
	Path Path
	Why  Why
	// Description is a sentence for the learner to read.
	Description string
	// Rank is 1 for what is done first. Paths of one rank are in the catalog's order, by id.
	Rank int
}

// Recommend returns the paths that fit a learner, the best first.
// Returns NotFound LEARNER_NOT_FOUND when no learner has the id, and Unavailable when the
// catalog is.
func (s *Service) Recommend(ctx context.Context, learnerID string) ([]Recommendation, error) {
	learner, err := s.Learner(ctx, learnerID)
	if err != nil {
		return nil, err
	}
	paths, err := s.catalog.ActivePaths(ctx)
	if err != nil {
		return nil, err
	}
	return recommend(learner, paths), nil
}

// RecommendToNewcomer returns the paths for somebody who is no learner yet: those of a learner who has said
// nothing. Returns Unavailable when the catalog is.
func (s *Service) RecommendToNewcomer(ctx context.Context) ([]Recommendation, error) {
	paths, err := s.catalog.ActivePaths(ctx)
	if err != nil {
		return nil, err
	}
	return recommend(Learner{}, paths), nil
}

// recommend puts first what a person would do first:
//
//  1. ways in for the learner's background that lead on to the target role, or any of
//     them while no target role is known: a learner who changes fields starts with what they know;
//  2. paths to the target role itself;
//  3. ways in for the background that lead elsewhere: they still teach what is missing;
//  4. ways in to the target role made for other backgrounds, but only while no way in
//     fits the learner's own: to a nurse, "from AI into health care" is not advice.
//
// Within each the catalog's order stays. When nothing fits, all ways in and all paths to
// a role are a general start, so that no learner finds an empty page.
func recommend(l Learner, paths []Path) []Recommendation {
	var first, toRole, elsewhere, others, general []Recommendation
	for _, p := range paths {
		mine := l.Background != "" && slices.Contains(p.Backgrounds, l.Background)
		leads := l.TargetRole != "" && slices.Contains(p.Roles, l.TargetRole)
		switch {
		case mine && (leads || l.TargetRole == ""):
			first = append(first, Recommendation{p, WhyBackground, fromBackground(l), 1})
		case leads && len(p.Backgrounds) == 0:
			toRole = append(toRole, Recommendation{p, WhyTargetRole, toTargetRole(l), 2})
		case mine:
			elsewhere = append(elsewhere, Recommendation{p, WhyBackground, fromBackgroundOnly(l), 3})
		case leads:
			others = append(others, Recommendation{p, WhyTargetRole, toTargetRole(l), 4})
		case len(p.Backgrounds) > 0 || len(p.Roles) > 0:
			general = append(general, Recommendation{p, WhyGeneral, generalStart(l), 5})
		}
	}
	if len(first)+len(elsewhere) > 0 {
		others = nil
	}
	if fitting := slices.Concat(first, toRole, elsewhere, others); len(fitting) > 0 {
		return fitting
	}
	return general
}

func fromBackground(l Learner) string {
	if l.TargetRole == "" {
		return fromBackgroundOnly(l)
	}
	return "It starts from your background in " + backgroundWords(l.Background) +
		" and leads towards your target role: " + roleWords(l.TargetRole) + "."
}

func fromBackgroundOnly(l Learner) string {
	return "It is made for people who come from " + backgroundWords(l.Background) + ", as you do."
}

func toTargetRole(l Learner) string {
	return "It leads to your target role: " + roleWords(l.TargetRole) + "."
}

func generalStart(l Learner) string {
	var known []string
	if l.Background != "" {
		known = append(known, "your background in "+backgroundWords(l.Background))
	}
	if l.TargetRole != "" {
		known = append(known, "the target role "+roleWords(l.TargetRole))
	}
	if len(known) == 0 {
		return "It is a good start; say what you bring and which role you are heading for, and you will see what fits you best."
	}
	return "It is a good start; no path is made for " + strings.Join(known, " or ") + " yet."
}

// backgroundWords continues "your background in" and "who come from".
func backgroundWords(b Background) string {
	switch b {
	case BackgroundAI:
		return "AI or software engineering"
	case BackgroundClinical:
		return "clinical work"
	case BackgroundResearch:
		return "research"
	case BackgroundProduct:
		return "product management"
	default:
		return "another field"
	}
}

// roleWords reads a slug aloud: "clinical-ai-engineer" is "clinical AI engineer".
func roleWords(slug string) string {
	words := strings.Split(slug, "-")
	for i, w := range words {
		switch w {
		case "ai", "ehr", "it", "llm", "ml", "nlp", "qa", "ux":
			words[i] = strings.ToUpper(w)
		}
	}
	return strings.Join(words, " ")
}
