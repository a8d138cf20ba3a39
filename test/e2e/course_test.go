package e2e

import (
	"net/http"
	"testing"
)

// course is what an author published for one test: a path of two milestones. The
// second module needs the first, and ends with a quiz.
type course struct{ basics, quiz, path string }

func basicsContent(title string) map[string]any {
	return map[string]any{
		"topic": "hipaa", "title": title, "summary": "What counts as health information.", "level": "FOUNDATION",
		"roles": []string{"clinical-ai-engineer"}, "objectives": []string{"Name the eighteen identifiers"},
		"units": []any{
			map[string]any{"id": "phi", "title": "What PHI is", "kind": "READING", "duration": "PT10M", "contentUri": "https://example.org/phi"},
			map[string]any{"id": "rules", "title": "The rules", "kind": "VIDEO", "duration": "PT20M", "weight": 3},
			map[string]any{"id": "extra", "title": "More to read", "kind": "READING", "required": false},
		},
		"currencyPolicy": map[string]any{"period": "P1Y", "window": "P30D", "grace": "P14D"},
	}
}

func quizContent(title, prerequisite string) map[string]any {
	return map[string]any{
		"topic": "hipaa", "title": title, "prerequisites": []string{prerequisite},
		"units": []any{
			map[string]any{"id": "read", "title": "Before the quiz", "kind": "READING"},
			map[string]any{"id": "quiz", "title": "The quiz", "kind": "QUIZ", "masteryScore": 0.8},
		},
	}
}

// publishCourse does what an author does: drafts, and publications of them.
func publishCourse(t *testing.T, author *client, name string) course {
	t.Helper()
	c := course{basics: name + "-basics", quiz: name + "-quiz", path: name + "-path"}
	author.post("/v1/modules?moduleId="+c.basics, basicsContent("The basics")).want(http.StatusCreated)
	author.post("/v1/modules/"+c.basics+":publish", map[string]any{}).want(http.StatusOK)
	author.post("/v1/modules?moduleId="+c.quiz, quizContent("The quiz", c.basics)).want(http.StatusCreated)
	author.post("/v1/modules/"+c.quiz+":publish", map[string]any{}).want(http.StatusOK)
	author.post("/v1/paths?pathId="+c.path, map[string]any{
		"title": "From the start", "summary": "Two steps.", "roles": []string{"clinical-ai-engineer"},
		"milestones": []any{
			map[string]any{"id": "begin", "title": "Begin", "groups": []any{map[string]any{"moduleIds": []string{c.basics}}}},
			map[string]any{"id": "finish", "title": "Finish", "groups": []any{map[string]any{"moduleIds": []string{c.quiz}, "requiredCount": 1}}},
		},
	}).want(http.StatusCreated)
	author.post("/v1/paths/"+c.path+":publish", map[string]any{}).want(http.StatusOK)
	return c
}

// enroll enrolls the client's learner in the course's path.
func enroll(me *client, c course) {
	me.t.Helper()
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
}

// basicsDone are the events that complete the first module.
func (c course) basicsDone() []any {
	return []any{event(c.basics, "phi", "COMPLETED"), event(c.basics, "rules", "COMPLETED")}
}
