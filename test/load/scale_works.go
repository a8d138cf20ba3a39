package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/google/uuid"
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

// school is everything that requests to a fleet are made from.
type school struct {
	*class

	fleet  *fleet
	rounds int
	// known are what the few were answered, by work.
	known map[string][]string
}

func newSchool(ctx context.Context, f *fleet, learners, rounds int) (*school, error) {
	c, err := newClass(ctx, f.gateway, dataFolder(f.dir), learners)
	if err != nil {
		return nil, err
	}
	return &school{class: c, fleet: f, rounds: rounds, known: map[string][]string{}}, nil
}

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
			return deviceRequest(http.MethodPost, enrollments, p.token, `{"pathId":"`+pathID+`"}`, "Idempotency-Key", uuid.NewString())
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
		return deviceRequest(http.MethodGet, pathProgress, token, "", "If-None-Match", s.known[workNewToken][n%few])
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
	learn := func(ctx context.Context) (err error) {
		s.known[name], err = s.etags(ctx, s.pupils[:few], path)
		return err
	}
	return &work{name: name, before: learn, next: func(_, n int) request {
		return deviceRequest(http.MethodGet, path, s.pupils[n%few].token, "", "If-None-Match", s.known[name][n%few])
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
	for _, table := range []string{"learner_head", "enrollment", "learner_log", "module_facts"} {
		if err := s.fleet.twins(ctx, "progress."+table, each); err != nil {
			return err
		}
	}
	_, err := s.fleet.admin.ExecContext(ctx, "VACUUM ANALYZE progress.learner_head, progress.learner_log, progress.module_facts, progress.enrollment")
	return err
}

// twins writes each row of a table that many times again, for other learners. The ids of these are text or uuids.
func (f *fleet) twins(ctx context.Context, table string, each int) error {
	var columns, kind string
	err := f.admin.QueryRowContext(ctx, `SELECT string_agg(quote_ident(attname), ', ') FILTER (WHERE attname <> 'learner_id'),
		max(format_type(atttypid, atttypmod)) FILTER (WHERE attname = 'learner_id')
		FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`, table).Scan(&columns, &kind)
	if err != nil {
		return err
	}
	made := "(substr(learner_id::text, 1, 24) || substr(md5(learner_id::text || n::text), 1, 12))::" + kind
	_, err = f.admin.ExecContext(ctx, fmt.Sprintf("INSERT INTO %[1]s (learner_id, %[2]s) SELECT %[3]s, %[2]s FROM generate_series(1, $1::int) n, %[1]s",
		table, columns, made), each)
	return err
}
