package profile_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// shelf is in the catalog's order, which is by id.
func shelf(context.Context) ([]profile.Path, error) {
	const clinical, nlp, pm, research = "clinical-ai-engineer", "healthcare-nlp-engineer", "healthcare-ai-product-manager", "medical-ai-researcher"
	return []profile.Path{
		{ID: "ai-to-healthcare", Title: "From AI", Roles: []string{clinical, nlp, pm}, Backgrounds: []profile.Background{profile.BackgroundAI}},
		{ID: clinical, Title: "Clinical AI Engineer", Roles: []string{clinical}},
		{
			ID:          "clinical-to-ai",
			Title:       "From care",
			Roles:       []string{clinical, pm, research},
			Backgrounds: []profile.Background{profile.BackgroundClinical},
		},
		{ID: pm, Title: "Product Manager", Roles: []string{pm}},
		{ID: nlp, Title: "NLP Engineer", Roles: []string{nlp}},
		{ID: research, Title: "Researcher", Roles: []string{research}},
		{ID: "refresher", Title: "A yearly refresher"},
		{
			ID:          "research-to-healthcare-ai",
			Title:       "From research",
			Roles:       []string{research},
			Backgrounds: []profile.Background{profile.BackgroundResearch},
		},
	}, nil
}

func TestRecommendations(t *testing.T) {
	t.Parallel()
	const everything = "GENERAL ai-to-healthcare, GENERAL clinical-ai-engineer, GENERAL clinical-to-ai, GENERAL healthcare-ai-product-manager, " +
		"GENERAL healthcare-nlp-engineer, GENERAL medical-ai-researcher, GENERAL research-to-healthcare-ai"
	s, _ := newService(t, catalogFunc(shelf))
	for i, c := range []struct {
		background profile.Background
		role       string
		want       string
		first      string // description of the first
	}{
		{"", "", everything, "say what you bring"},
		{"CLINICAL", "", "BACKGROUND clinical-to-ai", "clinical work, as you do"},
		{"", "medical-ai-researcher", "TARGET_ROLE medical-ai-researcher, TARGET_ROLE clinical-to-ai, TARGET_ROLE research-to-healthcare-ai", "medical AI researcher"},
		// The way in leads to the target role: it comes first, and others' ways in do not come.
		{"CLINICAL", "clinical-ai-engineer", "BACKGROUND clinical-to-ai, TARGET_ROLE clinical-ai-engineer", "clinical work and leads towards your target role: clinical AI engineer."},
		{"AI", "healthcare-nlp-engineer", "BACKGROUND ai-to-healthcare, TARGET_ROLE healthcare-nlp-engineer", "healthcare NLP engineer"},
		// The way in leads elsewhere: the target role comes first.
		{"RESEARCH", "healthcare-nlp-engineer", "TARGET_ROLE healthcare-nlp-engineer, BACKGROUND research-to-healthcare-ai", "target role: healthcare NLP engineer."},
		// No way in fits: those of others that lead there come after the role's own path.
		{"OTHER", "healthcare-nlp-engineer", "TARGET_ROLE healthcare-nlp-engineer, TARGET_ROLE ai-to-healthcare", "healthcare NLP engineer"},
		// A role that no path leads to leaves the background.
		{"AI", "astronaut", "BACKGROUND ai-to-healthcare", "AI or software engineering, as you do"},
		{"PRODUCT", "", everything, "no path is made for your background in product management yet"},
		{"PRODUCT", "astronaut", everything, "your background in product management or the target role astronaut"},
	} {
		l := signIn(t, s, strings.Repeat("x", i+1), profile.Hints{})
		l, err := s.Update(t.Context(), profile.Update{
			LearnerID: l.ID, Edit: sets(func(l *profile.Learner) { l.Background, l.TargetRole = c.background, c.role }),
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Recommend(t.Context(), l.ID)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, r := range got {
			lines = append(lines, reasonName(r.Why)+" "+r.Path.ID)
			if !strings.HasPrefix(r.Description, "It ") || !strings.HasSuffix(r.Description, ".") {
				t.Errorf("%q is no sentence", r.Description)
			}
		}
		if line := strings.Join(lines, ", "); line != c.want {
			t.Errorf("%s → %s: %s, want %s", c.background, c.role, line, c.want)
		}
		if !strings.Contains(got[0].Description, c.first) {
			t.Errorf("%s → %s: %q does not say %q", c.background, c.role, got[0].Description, c.first)
		}
	}
}

func reasonName(w profile.Why) string {
	return [...]string{"", "TARGET_ROLE", "BACKGROUND", "GENERAL"}[w]
}

func TestRecommendationsOfOtherCatalogs(t *testing.T) {
	t.Parallel()
	var paths []profile.Path
	s, _ := newService(t, catalogFunc(func(context.Context) ([]profile.Path, error) { return paths, nil }))
	l := signIn(t, s, "ana", profile.Hints{})
	if got, err := s.Recommend(t.Context(), l.ID); err != nil || len(got) != 0 {
		t.Errorf("an empty catalog recommends %v, %v", got, err)
	}
	// A path that fits twice comes once.
	paths = []profile.Path{{ID: "both", Roles: []string{"r", "r"}, Backgrounds: []profile.Background{"AI", "AI"}}}
	if _, err := s.Update(t.Context(), profile.Update{
		LearnerID: l.ID, Edit: sets(func(l *profile.Learner) { l.Background, l.TargetRole = "AI", "r" }),
	}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Recommend(t.Context(), l.ID)
	if err != nil || len(got) != 1 || !slices.Contains(got[0].Path.Roles, "r") {
		t.Errorf("recommended %v, %v", got, err)
	}
}

func TestRecommendationsWithoutCatalog(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, catalogFunc(func(context.Context) ([]profile.Path, error) {
		return nil, errs.New(errs.Unavailable, errs.ReasonUpstreamUnavailable, "down")
	}))
	l := signIn(t, s, "ana", profile.Hints{})
	_, err := s.Recommend(t.Context(), l.ID)
	wantFault(t, err, errs.Unavailable, errs.ReasonUpstreamUnavailable)
}
