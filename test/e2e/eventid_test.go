package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestEventIDsAreLowerCase sends event ids in upper case, as Swift spells them: a result has its id as
// it was sent, everything else has it in lower case, and in either case it is the same event.
func TestEventIDsAreLowerCase(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	me, admin := w.as(t, "ada"), w.as(t, "root", "admin")
	learner, upper := me.id(), strings.ToUpper(uuid.NewString())
	event := func(id string) string {
		return fmt.Sprintf(`{"events": [{"eventId": %q, "moduleId": "hipaa-foundations", "unitId": "phi", "verb": "COMPLETED", "occurredAt": "2026-11-20T08:00:00Z"}]}`, id)
	}
	path := "/v1/learners/" + learner + "/events"
	answers := map[string]*response{
		"an accepted event": me.post(path+":batch", event(upper)).want(http.StatusOK),
		"a duplicate":       me.post(path+":batch", event(upper)).want(http.StatusOK),
		"the same event":    me.post(path+":batch", event(strings.ToLower(upper))).want(http.StatusOK),
		"the log":           me.get(path).want(http.StatusOK),
		"module progress":   me.get("/v1/learners/me/modules/hipaa-foundations/progress").want(http.StatusOK),
		"a rejected event":  me.post(path+":batch", strings.ReplaceAll(event(upper), "phi", "covered-entities")).want(http.StatusOK),
		"a malformed event": me.post(path+":batch", strings.ReplaceAll(event(upper), "COMPLETED", "CHEATED")).want(http.StatusOK),
		"a void of the event": admin.post(path+":batch", fmt.Sprintf(`{"events": [{"eventId": %q, "verb": "VOIDED", "voidsEventId": %q, "reason": "A slip.", "occurredAt": %q}]}`,
			strings.ToUpper(uuid.NewString()), upper, testenv.Now().UTC().Format("2006-01-02T15:04:05Z"))).want(http.StatusOK),
		"the log with the void": me.get(path).want(http.StatusOK),
	}
	for what, status := range map[string]string{
		"an accepted event": "ACCEPTED", "a duplicate": "DUPLICATE", "the same event": "DUPLICATE",
		"a rejected event": "REJECTED", "a malformed event": "REJECTED", "a void of the event": "ACCEPTED",
	} {
		if got := answers[what].text("results.0.status"); got != status {
			t.Errorf("%s is %s, want %s: %s", what, got, status, answers[what].body)
		}
	}
	for what, answer := range answers {
		text := string(answer.body)
		switch sent := answer.get("results.0.eventId"); {
		case sent == nil && strings.Contains(text, upper):
			t.Errorf("%s has the id in upper case: %s", what, text)
		case sent != nil && strings.Count(text, upper) > 1:
			t.Errorf("%s has the id in upper case elsewhere than in its result: %s", what, text)
		}
	}
	for what, want := range map[string]string{"an accepted event": upper, "a malformed event": upper, "the same event": strings.ToLower(upper)} {
		if got := answers[what].text("results.0.eventId"); got != want {
			t.Errorf("the result of %s has the id %s, want %s", what, got, want)
		}
	}
	if log := string(answers["the log with the void"].body); strings.Count(log, strings.ToLower(upper)) != 2 {
		t.Errorf("the log names the event and its void otherwise than in lower case: %s", log)
	}
}
