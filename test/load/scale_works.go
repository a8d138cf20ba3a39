package main

import (
	"bytes"
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

// The names of the works that the day is reckoned from.
const (
	workSignIn       = "first sign-in, which makes the learner"
	workEnroll       = "enroll in a path"
	workBatch        = "send 10 events"
	workSingle       = "send 1 event"
	workCrowd        = "send 10 events, 64 at a time"
	workCrowdOne     = "send 1 event, 64 at a time"
	workPathCold     = "read a path's progress, changed since"
	workPathWarm     = "the same, cached in Redis"
	workPathSame     = "the same with its ETag, 304"
	workHomeCold     = "read the home page, changed since"
	workHomeSame     = "the home page, 304"
	workCatchUp      = "ask for newer log entries; none"
	workProfileSame  = "read one's profile, 304"
	workModule       = "read a module of the catalog"
	workCatalog      = "list 50 modules of the catalog"
	workCatalogSame  = "the list, 304"
	workNewToken     = "a path's 304 with a token not seen before"
	workStream       = "open a stream"
	workWatchedEvent = "send 1 event and hear of it on a stream"
)

// few is how many learners the works use that ask for what is cached: their tokens and responses
// are known everywhere.
const few = 200

// pupil is a learner of the run.
type pupil struct {
	token string
	// sent counts their events; the next one is about the next unit.
	sent atomic.Int64
}

// school is everything that requests are made from.
type school struct {
	fleet   *fleet
	issuer  *auth.LocalIssuer
	pupils  []*pupil
	targets []target
	rounds  int
	// etags are what the few were answered, by work.
	etags map[string][]string
}

func newSchool(ctx context.Context, f *fleet, learners, rounds int) (*school, error) {
	issuer, err := auth.OpenLocalIssuer(filepath.Join(f.dir, "data"), time.Now)
	if err != nil {
		return nil, err
	}
	s := &school{fleet: f, issuer: issuer, rounds: rounds, etags: map[string][]string{}}
	for i := range learners {
		token, err := s.token(i)
		if err != nil {
			return nil, err
		}
		s.pupils = append(s.pupils, &pupil{token: token})
	}
	author, err := issuer.Mint("scale-author", nil, "", time.Hour)
	if err != nil {
		return nil, err
	}
	path, err := readOutline(ctx, f.gateway, author)
	if err != nil {
		return nil, err
	}
	s.targets = path.units(1 << 20)
	return s, nil
}

// token makes another token for a learner.
func (s *school) token(i int) (string, error) {
	return s.issuer.Mint(fmt.Sprintf("scale-%d", i), nil, fmt.Sprintf("Learner %d", i), 2*time.Hour)
}

// deviceRequest is a request with the headers that a phone's HTTP library sends.
func deviceRequest(method, path, token, body string, headers ...string) request {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: learn.example.org\r\nUser-Agent: Learn/4.2 (phone)\r\n", method, path)
	b.WriteString("Accept: application/json\r\nAccept-Encoding: gzip\r\n")
	fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return b.Bytes()
}

// post makes a request that sends a learner's next events: each unit is begun, and then completed.
func (s *school) post(p *pupil, events int) request {
	var b strings.Builder
	b.WriteString(`{"events":[`)
	for i := range events {
		n := int(p.sent.Add(1) - 1)
		t := s.targets[n/2%len(s.targets)]
		what := `"PROGRESSED","progress":0.5`
		if n%2 == 1 {
			what = `"COMPLETED"`
		}
		if i > 0 {
			b.WriteByte(',')
		}
		at := time.Now().Add(time.Duration(i-events) * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
		fmt.Fprintf(&b, `{"eventId":%q,"moduleId":%q,"unitId":%q,"verb":%s,"occurredAt":%q,"deviceId":"phone-1"}`,
			uuid.NewString(), t.module, t.unit, what, at)
	}
	b.WriteString(`]}`)
	return deviceRequest(http.MethodPost, "/v1/learners/me/events:batch", p.token, b.String())
}

const (
	pathProgress = "/v1/learners/me/paths/" + pathID + "/progress"
	homeProgress = "/v1/learners/me/progress"
	someModules  = "/v1/modules?pageSize=50"
)

// share returns the n-th of the learners that a round has for itself; nil after the last.
func (s *school) share(round, n int) *pupil {
	size := len(s.pupils) / s.rounds
	if n >= size {
		return nil
	}
	return s.pupils[round*size+n]
}

// newcomers makes learners and enrolls them: every learner once.
func (s *school) newcomers() []*work {
	once := func(name string, ask func(*pupil) request) *work {
		return &work{name: name, whole: true, next: func(round, n int) request {
			if p := s.share(round, n); p != nil {
				return ask(p)
			}
			return nil
		}}
	}
	return []*work{
		once(workSignIn, func(p *pupil) request { return deviceRequest(http.MethodGet, "/v1/learners/me", p.token, "") }),
		once(workEnroll, func(p *pupil) request {
			return deviceRequest(http.MethodPost, "/v1/learners/me/enrollments", p.token, `{"pathId":"`+pathID+`"}`, "Idempotency-Key", uuid.NewString())
		}),
	}
}

// writing sends events. Before each round of the first ones a checkpoint makes every page cold, as
// most are where there are many more learners.
func (s *school) writing() []*work {
	var turn atomic.Int64 // goes on over works and rounds, so that learners take turns
	send := func(name string, events, connections int, before func(context.Context) error) *work {
		return &work{name: name, events: events, connections: connections, before: before, next: func(_, _ int) request {
			return s.post(s.pupils[int(turn.Add(1))%len(s.pupils)], events)
		}}
	}
	return []*work{
		send(workBatch, 10, 0, s.fleet.checkpoint),
		send(workSingle, 1, 0, s.fleet.checkpoint),
		send(workCrowd, 10, 64, s.fleet.checkpoint),
		send(workCrowdOne, 1, 64, s.fleet.checkpoint),
	}
}

func (f *fleet) checkpoint(ctx context.Context) error {
	_, err := f.admin.ExecContext(ctx, "CHECKPOINT")
	return err
}

// reading reads what changed, and what did not.
func (s *school) reading() []*work {
	flush := func(ctx context.Context) error { return s.fleet.redis.FlushAll(ctx).Err() }
	cold := func(name, path string) *work {
		return &work{name: name, before: flush, next: func(_, n int) request {
			if n >= len(s.pupils) {
				return nil
			}
			return deviceRequest(http.MethodGet, path, s.pupils[n].token, "")
		}}
	}
	warm := &work{name: workPathWarm, next: func(_, n int) request {
		return deviceRequest(http.MethodGet, pathProgress, s.pupils[n%few].token, "")
	}}
	list := &work{name: workCatalog, next: func(_, n int) request {
		return deviceRequest(http.MethodGet, someModules, s.pupils[n%few].token, "")
	}}
	module := &work{name: workModule, next: func(_, n int) request {
		return deviceRequest(http.MethodGet, "/v1/modules/"+s.targets[n%len(s.targets)].module, s.pupils[n%few].token, "")
	}}
	newToken := s.again(workNewToken, pathProgress)
	newToken.next = func(_, n int) request {
		token, err := s.token(n % few)
		if err != nil {
			return nil
		}
		return deviceRequest(http.MethodGet, pathProgress, token, "", "If-None-Match", s.etags[workNewToken][n%few])
	}
	catchUp := &work{name: workCatchUp, next: func(_, n int) request {
		p := s.pupils[n%few]
		return deviceRequest(http.MethodGet, fmt.Sprintf("/v1/learners/me/events?afterSequence=%d", p.sent.Load()+1), p.token, "")
	}}
	return []*work{
		cold(workPathCold, pathProgress), warm, s.again(workPathSame, pathProgress),
		cold(workHomeCold, homeProgress), s.again(workHomeSame, homeProgress),
		newToken, catchUp, s.again(workProfileSame, "/v1/learners/me"),
		module, list, s.again(workCatalogSame, someModules),
	}
}

// again asks with the ETag of the answer before.
func (s *school) again(name, path string) *work {
	learn := func(ctx context.Context) error {
		s.etags[name] = make([]string, few)
		ask := &work{
			name: name,
			next: func(_, n int) request {
				if n >= few {
					return nil
				}
				return deviceRequest(http.MethodGet, path, s.pupils[n].token, "")
			},
			received: func(_, n int, h http.Header) { s.etags[name][n] = h.Get("ETag") },
		}
		_, err := s.fleet.repeat(ctx, ask, 0, 8, time.Minute)
		return err
	}
	return &work{name: name, before: learn, next: func(_, n int) request {
		return deviceRequest(http.MethodGet, path, s.pupils[n%few].token, "", "If-None-Match", s.etags[name][n%few])
	}}
}

// neighbours makes the learners some of many: beside each, others with the same log and facts are
// written into progress's tables. Their ids stand between, so that what is measured is spread over
// the indexes as a few of many learners are.
func (s *school) neighbours(ctx context.Context, each int) error {
	if each == 0 {
		return nil
	}
	say(fmt.Sprintf("making %d learners more …", each*len(s.pupils)))
	made := `(substr(t.learner_id::text, 1, 24) || substr(md5(concat(t.learner_id, n)), 1, 12))::uuid`
	for _, statement := range []string{
		`INSERT INTO progress.learner_head (learner_id, sequence, version, time_zone, zone_since, known, rules)
			SELECT ` + made + `, t.sequence, t.version, t.time_zone, t.zone_since, t.known, t.rules
			FROM generate_series(1, $1::int) n, progress.learner_head t`,
		`INSERT INTO progress.enrollment (learner_id, enrollment_id, path_id, path_version, state, enroll_at, update_at)
			SELECT ` + made + `, t.enrollment_id, t.path_id, t.path_version, t.state, t.enroll_at, t.update_at
			FROM generate_series(1, $1::int) n, progress.enrollment t`,
		`INSERT INTO progress.learner_log (learner_id, sequence, received_at, event_id, module_id, voids_event_id, entry)
			SELECT ` + made + `, t.sequence, t.received_at, t.event_id, t.module_id, t.voids_event_id, t.entry
			FROM generate_series(1, $1::int) n, progress.learner_log t`,
		`INSERT INTO progress.module_facts (learner_id, module_id, state, fold_key, materials, cycle_state, complete_version, shape)
			SELECT ` + made + `, t.module_id, t.state, t.fold_key, t.materials, t.cycle_state, t.complete_version, t.shape
			FROM generate_series(1, $1::int) n, progress.module_facts t`,
	} {
		if _, err := s.fleet.admin.ExecContext(ctx, statement, each); err != nil {
			return err
		}
	}
	_, err := s.fleet.admin.ExecContext(ctx, "VACUUM ANALYZE progress.learner_head, progress.learner_log, progress.module_facts, progress.enrollment")
	return err
}
