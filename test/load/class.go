package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

// The requests that learners make.
const (
	sendEvents   = "/v1/learners/me/events:batch"
	enrollments  = "/v1/learners/me/enrollments"
	pathProgress = "/v1/learners/me/paths/" + pathID + "/progress"
	homeProgress = "/v1/learners/me/progress"
	someModules  = "/v1/modules?pageSize=50"
)

// tokenLife is longer than any measurement takes.
const tokenLife = 6 * time.Hour

// pupil is a learner of the run.
type pupil struct {
	token string
	// sent counts their events; the next one is about the next unit.
	sent atomic.Int64
}

// class is everything that requests to a server are made from.
type class struct {
	server  *server
	issuer  *auth.LocalIssuer
	pupils  []*pupil
	outline *outline
	targets []target
}

// newClass makes the tokens of learners, who need not be known yet. The server has its keys in the folder.
func newClass(ctx context.Context, s *server, data string, learners int) (*class, error) {
	issuer, err := auth.OpenLocalIssuer(data, time.Now)
	if err != nil {
		return nil, err
	}
	c := &class{server: s, issuer: issuer}
	for i := range learners {
		token, err := c.token(i)
		if err != nil {
			return nil, err
		}
		c.pupils = append(c.pupils, &pupil{token: token})
	}
	author, err := c.author()
	if err != nil {
		return nil, err
	}
	if c.outline, err = readOutline(ctx, s, author); err != nil {
		return nil, err
	}
	c.targets = c.outline.units()
	return c, nil
}

// token makes another token for a learner.
func (c *class) token(i int) (string, error) {
	return c.issuer.Mint(fmt.Sprintf("scale-%d", i), nil, fmt.Sprintf("Learner %d", i), tokenLife)
}

// author makes a token that may publish.
func (c *class) author() (string, error) {
	return c.issuer.Mint("scale-author", []auth.Role{auth.RoleAuthor}, "", tokenLife)
}

// post makes a request that sends a learner's next events: each unit is begun, and then completed.
func (c *class) post(p *pupil, events int) request {
	return deviceRequest(http.MethodPost, sendEvents, p.token, c.events(p, events))
}

// eventsSpread is how far back the hundred events of one request reach, one a second.
const eventsSpread = 100 * time.Second

// events are a learner's next ones as the body of a request.
func (c *class) events(p *pupil, events int) string {
	var b strings.Builder
	b.WriteString(`{"events":[`)
	for i := range events {
		n := int(p.sent.Add(1) - 1)
		t := c.targets[n/2%len(c.targets)]
		what := `"PROGRESSED","progress":0.5`
		if n%2 == 1 {
			what = `"COMPLETED"`
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(event(uuid.NewString(), t, what, time.Now().Add(time.Duration(i-events)*time.Second)))
	}
	b.WriteString(`]}`)
	return b.String()
}

// event is one event as JSON. The verb may have other fields after it.
func event(id string, t target, verb string, at time.Time) string {
	return fmt.Sprintf(`{"eventId":%q,"moduleId":%q,"unitId":%q,"verb":%s,"occurredAt":%q,"deviceId":"phone-1"}`,
		id, t.module, t.unit, verb, at.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// each makes one request for each of some learners.
func (c *class) each(ctx context.Context, name string, pupils []*pupil, ask func(*pupil) request) error {
	say(name + " …")
	j := &job{name: name, address: c.server.address, connections: 32, next: func(n int) request {
		if n >= len(pupils) {
			return nil
		}
		return ask(pupils[n])
	}}
	_, err := j.closed(ctx, time.Hour)
	return err
}

// enroll enrolls learners in the path.
func (c *class) enroll(ctx context.Context, pupils []*pupil) error {
	return c.each(ctx, fmt.Sprintf("enrolling %d learners", len(pupils)), pupils, func(p *pupil) request {
		return deviceRequest(http.MethodPost, enrollments, p.token, `{"pathId":"`+pathID+`"}`, "Idempotency-Key", uuid.NewString())
	})
}

// send has each of some learners send this many events, at most 100 in a request.
func (c *class) send(ctx context.Context, pupils []*pupil, events int) error {
	for sent := 0; sent < events; sent += 100 {
		n := min(100, events-sent)
		if err := c.each(ctx, fmt.Sprintf("%d of %d events of %d learners", sent+n, events, len(pupils)), pupils, func(p *pupil) request {
			return c.post(p, n)
		}); err != nil {
			return err
		}
	}
	return nil
}

// etags are what learners are answered on a path, in their order.
func (c *class) etags(ctx context.Context, pupils []*pupil, path string) ([]string, error) {
	out := make([]string, len(pupils))
	j := &job{
		name: path, address: c.server.address, connections: 8,
		next: func(n int) request {
			if n >= len(pupils) {
				return nil
			}
			return deviceRequest(http.MethodGet, path, pupils[n].token, "")
		},
		received: func(n int, a answer) { out[n] = a.etag },
	}
	_, err := j.closed(ctx, time.Minute)
	return out, err
}

// dataFolder is where a run's program has its keys.
func dataFolder(dir string) string { return filepath.Join(dir, "data") }
