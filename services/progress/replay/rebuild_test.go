package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/tagged"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
)

// replayRig is a rig with a second handle on its database, by which a test does harm.
type replayRig struct {
	*rig

	db *sqldb.DB
}

func newReplayRig(t *testing.T) *replayRig {
	t.Helper()
	return replayRigOf(t, []progress.Module{module1("a", unit("u"), unit("v")), module1("b", unit("u"))},
		[]progress.Path{path1("p", milestone("m1", all("a"))), path1("q", milestone("m2", all("b")))})
}

func replayRigOf(t *testing.T, modules []progress.Module, paths []progress.Path) *replayRig {
	t.Helper()
	r := newRig(t, modules, paths)
	r.Refresh()
	return &replayRig{r, sqldbtest.Open(t, r.URL)}
}

// byHand is the id of what somebody wrote by hand.
const byHand = "00000000-0000-4000-8000-000000000001"

// harm runs a statement behind the service's back; UUIDs are given as texts.
func (r *replayRig) harm(query string, args ...any) {
	r.T.Helper()
	for i := range args {
		if text, ok := args[i].(string); ok {
			args[i] = keyOf(text)
		}
	}
	err := r.db.Write(r.Ctx, func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		r.T.Fatal(err)
	}
}

// keyOf is a UUID as the tables have it; another text is itself.
func keyOf(text string) any {
	if id, ok := tagged.ParseUUID(text); ok {
		return id[:]
	}
	return text
}

// harmFacts changes stored facts, but not the summary beside them.
func (r *replayRig) harmFacts(learner, module string, change func(*progress.Facts)) {
	r.T.Helper()
	l, err := r.Store.Load(r.Ctx, learner)
	if err != nil {
		r.T.Fatal(err)
	}
	change(l.Facts[module])
	r.harm(`UPDATE module_facts SET state = $2 WHERE learner_id = $1 AND module_id = $3`, learner, progress.AppendFacts(nil, l.Facts[module]), module)
}

// replayOn runs a replay to its end, and returns what it reported.
func (r *replayRig) replayOn(s *replica, opts replay.Request) (drifts []replay.Drift, first, last replay.Status) {
	r.T.Helper()
	reports := 0
	err := s.Replays.Run(r.Ctx, opts, func(p replay.Report) error {
		if p.Drift != nil {
			drifts = append(drifts, *p.Drift)
			return nil
		}
		if reports++; reports == 1 {
			first = *p.Status
		}
		last = *p.Status
		return nil
	})
	if err != nil {
		r.T.Fatal(err)
	}
	if !last.Finished {
		r.T.Errorf("the last report: %+v", last)
	}
	return drifts, first, last
}

func (r *replayRig) verify() []string {
	r.T.Helper()
	drifts, _, _ := r.replayOn(r.Service, replay.Request{})
	return namesOf(drifts)
}

func (r *replayRig) rebuild() []string {
	r.T.Helper()
	drifts, _, _ := r.replayOn(r.Service, replay.Request{Write: true, ActorID: "admin"})
	return namesOf(drifts)
}

func namesOf(drifts []replay.Drift) []string {
	var out []string
	for _, d := range drifts {
		out = append(out, fmt.Sprint(d.LearnerID, " ", d.Kind, " ", d.ID))
	}
	return out
}

// learned makes a learner who is done with both modules.
func (r *replayRig) learned() (learner string, enrollment progress.Enrollment, award progress.Award) {
	r.T.Helper()
	learner = newLearner()
	enrollment = r.Enroll(learner, "p")
	done := r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(1)), event("a", "v", progress.Completed, day(1)),
		event("b", "u", progress.Completed, day(1)))
	if len(done.Awards) != 1 {
		r.T.Fatalf("awards: %+v", done.Awards)
	}
	return learner, enrollment, done.Awards[0]
}

// facts are the rows of module_facts, whole.
func (r *replayRig) facts(learner string) string {
	r.T.Helper()
	var out strings.Builder
	err := r.db.Read(r.Ctx, func(ctx context.Context, tx sqldb.Tx) error {
		out.Reset()
		rows, err := tx.QueryContext(ctx, `SELECT concat_ws('|', module_id, fold_key, materials, cycle_state, complete_version, shape), state
			FROM module_facts WHERE learner_id = $1 ORDER BY module_id`, keyOf(learner))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var row string
			var state []byte
			if err := rows.Scan(&row, &state); err != nil {
				return err
			}
			fmt.Fprintf(&out, "%s|%x\n", row, state)
		}
		return rows.Err()
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return out.String()
}

// Verify finds exactly what was harmed, and a rebuild repairs it, but for what is in no log entry.
func TestReplayFindsAndMendsWhatWasHarmed(t *testing.T) {
	r := newReplayRig(t)
	whole, _, _ := r.learned()
	var want []string
	harmed := func(kind replay.DriftKind, id, learner string) {
		want = append(want, fmt.Sprint(learner, " ", kind, " ", id))
	}
	facts := func(query string, args ...any) {
		learner, _, _ := r.learned()
		r.harm(query, append([]any{learner}, args...)...)
		harmed(replay.DriftFacts, "a", learner)
	}
	facts(`DELETE FROM module_facts WHERE learner_id = $1 AND module_id = 'a'`)
	for _, state := range [][]byte{{}, {1}, {1, 0xff}, {0xff}, []byte("no facts")} {
		facts(`UPDATE module_facts SET state = $2 WHERE learner_id = $1 AND module_id = 'a'`, state)
	}
	facts(`UPDATE module_facts SET complete_version = 12 WHERE learner_id = $1 AND module_id = 'a'`)
	learner, _, _ := r.learned()
	r.harmFacts(learner, "a", func(f *progress.Facts) { f.Cycles[0].Number = 7 })
	harmed(replay.DriftFacts, "a", learner)

	learner, e, a := r.learned()
	r.harm(`DELETE FROM enrollment WHERE learner_id = $1`, learner)
	r.harm(`DELETE FROM award WHERE learner_id = $1`, learner)
	harmed(replay.DriftAward, a.ID, learner)
	harmed(replay.DriftEnrollment, e.ID, learner)

	learner, e, a = r.learned()
	r.harm(`UPDATE enrollment SET state = 'PAUSED', path_id = 'q' WHERE learner_id = $1`, learner)
	r.harm(`UPDATE award SET title = 'Other', rule = 'no JSON' WHERE learner_id = $1`, learner)
	harmed(replay.DriftAward, a.ID, learner)
	harmed(replay.DriftEnrollment, e.ID, learner)

	// Facts of a module without events go; what else is in no log entry stays.
	learner = newLearner()
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(1)))
	r.harm(`INSERT INTO module_facts (learner_id, module_id, state) SELECT learner_id, 'b', state FROM module_facts WHERE learner_id = $1`, learner)
	harmed(replay.DriftFacts, "b", learner)
	r.harm(`INSERT INTO award (learner_id, award_id, path_id, path_version, milestone_id, title, award_at, from_sequence, to_sequence, completions, rule)
		VALUES ($1, $2, 'q', 1, 'm2', 'M', 1, 1, 1, '[]', '{}')`, learner, byHand)
	r.harm(`INSERT INTO enrollment (learner_id, enrollment_id, path_id, path_version, state, enroll_at, update_at) VALUES ($1, $2, 'q', 1, 'ACTIVE', 1, 1)`, learner, byHand)
	stays := []string{learner + " AWARD " + byHand, learner + " ENROLLMENT " + byHand}
	want = append(want, stays...)

	version := r.head(whole).Version
	slices.Sort(want)
	if found := r.verify(); !slices.Equal(sorted(found), want) {
		t.Errorf("verify found\n%s\nwant\n%s", strings.Join(sorted(found), "\n"), strings.Join(want, "\n"))
	}
	before := r.head(learner).Version
	if repaired := r.rebuild(); !slices.Equal(sorted(repaired), want) {
		t.Errorf("rebuild reported\n%s\nwant\n%s", strings.Join(sorted(repaired), "\n"), strings.Join(want, "\n"))
	}
	if found := r.verify(); !slices.Equal(found, stays) {
		t.Errorf("afterwards: %q, want %q", found, stays)
	}
	if r.head(whole).Version != version || r.head(learner).Version != before+1 {
		t.Errorf("versions: %d was %d, %d was %d", r.head(whole).Version, version, r.head(learner).Version, before)
	}
}

func sorted(in []string) []string { return slices.Sorted(slices.Values(in)) }

func (r *replayRig) head(learner string) progress.Head {
	r.T.Helper()
	h, err := r.Store.Head(r.Ctx, learner)
	if err != nil {
		r.T.Fatal(err)
	}
	return h
}

// An enrollment that is in no log keeps its path: the rebuild leaves the other out, and goes on.
func TestRebuildLeavesAHeldPath(t *testing.T) {
	r := newReplayRig(t)
	learner, e, _ := r.learned()
	r.harm(`UPDATE enrollment SET enrollment_id = $2 WHERE learner_id = $1`, learner, byHand)
	r.harm(`DELETE FROM module_facts WHERE learner_id = $1`, learner)
	r.rebuild()
	if found, want := r.verify(), []string{learner + " ENROLLMENT " + byHand, learner + " ENROLLMENT " + e.ID}; !slices.Equal(sorted(found), sorted(want)) {
		t.Errorf("%q, want %q", found, want)
	}
}

func TestReplayOfOneLearner(t *testing.T) {
	r := newReplayRig(t)
	one, _, _ := r.learned()
	other, _, _ := r.learned()
	r.harm(`DELETE FROM module_facts`)
	opts := replay.Request{LearnerID: one, Write: true}
	drifts, _, last := r.replayOn(r.Service, opts)
	if len(drifts) != 2 || last != (replay.Status{Done: 1, Total: 1, Entries: 4, Drifted: 1, Finished: true}) {
		t.Errorf("%+v %+v", drifts, last)
	}
	if found, want := r.verify(), []string{other + " FACTS a", other + " FACTS b"}; !slices.Equal(found, want) {
		t.Errorf("%q, want %q", found, want)
	}
	opts.LearnerID = newLearner()
	if drifts, _, _ := r.replayOn(r.Service, opts); len(drifts) > 0 || r.head(opts.LearnerID).Version != 0 {
		t.Errorf("an unknown learner: %+v %+v", drifts, r.head(opts.LearnerID))
	}
}

// What the catalog made stale is folded anew by a rebuild, and is no drift.
func TestRebuildFreshensStaleFacts(t *testing.T) {
	r := newReplayRig(t)
	learner, _, _ := r.learned()
	before := r.facts(learner)
	m := module1("b", unit("u"))
	m.Versions = append(m.Versions, version(2, day(2), unit("u")))
	m.Versions[1].Material = true
	r.Catalog.Publish([]progress.Module{m}, nil)
	r.Refresh()
	if found := r.verify(); len(found) > 0 || r.facts(learner) != before {
		t.Errorf("verify: %q", found)
	}
	if found := r.rebuild(); len(found) > 0 || r.facts(learner) == before {
		t.Errorf("rebuild: %q\n%s", found, r.facts(learner))
	}
}

// many makes learners who began a module, more than one chunk takes.
func (r *replayRig) many(n int) []string {
	r.T.Helper()
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range ids {
		ids[i] = newLearner()
		all.Go(func() { r.Accept(ids[i], self(ids[i]), event("a", "u", progress.Completed, day(1))) })
		if i%50 == 49 {
			all.Wait()
		}
	}
	all.Wait()
	slices.Sort(ids)
	return ids
}

var errEnough = errors.New("enough")

// cutOff begins a rebuild, and ends it after some drifts.
func (r *replayRig) cutOff(drifts int) {
	r.T.Helper()
	err := r.Service.Replays.Run(r.Ctx, replay.Request{Write: true, ActorID: "admin"}, func(p replay.Report) error {
		if p.Drift != nil {
			drifts--
		}
		if drifts < 0 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		r.T.Fatal(err)
	}
}

// A rebuild that was cut off goes on from its place, and misses nobody.
func TestRebuildGoesOn(t *testing.T) {
	r := newReplayRig(t)
	ids := r.many(300)
	r.harm(`DELETE FROM module_facts`)
	r.cutOff(100)
	// What was done before the place is not looked at again: harm there stays, harm after it does not.
	r.harm(`DELETE FROM module_facts WHERE learner_id = $1 OR learner_id = $2`, ids[0], ids[299])
	drifts, first, last := r.replayOn(r.Service, replay.Request{Write: true})
	if !first.Resumed || first.Done != 64 || first.Total != 300 || last.Done != 300 || last.Entries != 300 {
		t.Errorf("it began with %+v and ended with %+v", first, last)
	}
	if len(drifts) == 0 || drifts[0].LearnerID <= ids[63] {
		t.Errorf("it reported %d, the first of %+v", len(drifts), drifts[0])
	}
	if found, want := r.verify(), []string{ids[0] + " FACTS a"}; !slices.Equal(found, want) {
		t.Errorf("%q, want %q", found, want)
	}
	// It was finished: the next one begins anew.
	if _, first, _ := r.replayOn(r.Service, replay.Request{Write: true}); first.Resumed {
		t.Errorf("it went on after the end: %+v", first)
	}
	r.harm(`DELETE FROM module_facts`)
	r.cutOff(100)
	if _, first, _ := r.replayOn(r.Service, replay.Request{Write: true, Restart: true}); first.Resumed || first.Done != 0 {
		t.Errorf("it did not begin anew: %+v", first)
	}
	if found := r.verify(); len(found) > 0 {
		t.Error(found)
	}
}

// The context's end ends a rebuild, and it can go on.
func TestRebuildIsCalledOff(t *testing.T) {
	r := newReplayRig(t)
	r.many(200)
	r.harm(`DELETE FROM module_facts`)
	ctx, cancel := context.WithCancel(r.Ctx)
	err := r.Service.Replays.Run(ctx, replay.Request{Write: true}, func(p replay.Report) error {
		if p.Drift != nil {
			cancel()
		}
		return nil
	})
	if k := errs.KindOf(err); k != errs.Canceled {
		t.Errorf("%v: %v", k, err)
	}
	r.rebuild()
	if found := r.verify(); len(found) > 0 {
		t.Error(found)
	}
}

// One rebuild of all learners at a time, across replicas; one that died holds it until its lease
// lapses, or, where nobody else can have the store, not at all.
func TestOneRebuildAtATime(t *testing.T) {
	r := newReplayRig(t)
	r.learned()
	other, opts := r.Replica(), replay.Request{Write: true, ActorID: "admin"}
	refused := func(s *replica) {
		t.Helper()
		err := s.Replays.Run(r.Ctx, opts, func(replay.Report) error { return nil })
		if errs.ReasonOf(err) != errs.ReasonRebuildRunning || errs.KindOf(err) != errs.FailedPrecondition || !strings.Contains(err.Error(), "admin") {
			t.Errorf("%v", err)
		}
	}
	asked := false
	err := r.Service.Replays.Run(r.Ctx, opts, func(replay.Report) error {
		if !asked {
			asked = true
			refused(r.Service)
			refused(other)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	now := r.Clock.Now()
	dead, err := r.Store.LeaseRebuild(r.Ctx, "dead", now, now.Add(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	dead.StartedAt, dead.ActorID, dead.Total = now, "admin", 1
	if err := r.Store.SaveRebuild(r.Ctx, dead); err != nil {
		t.Fatal(err)
	}
	refused(r.Service)
	alone := &replica{Replays: r.ReplaysOf(r.Service.Service, r.Store, true)}
	if _, first, _ := r.replayOn(alone, opts); !first.Resumed {
		t.Errorf("%+v", first)
	}
	if dead, err = r.Store.LeaseRebuild(r.Ctx, "dead", now, now.Add(30*time.Second)); err != nil || dead.Owner != "dead" {
		t.Fatal(dead, err)
	}
	r.Clock.Set(now.Add(31 * time.Second))
	r.rebuild()
}

// Rebuilds beside learners who go on at two replicas, and beside harm: no event and no fact of theirs is lost,
// and in the end all is as the logs say.
func TestRebuildBesideLiveTraffic(t *testing.T) {
	r := newReplayRig(t)
	const writers, each = 8, 40
	elsewhere := *r.rig
	elsewhere.Service = r.Replica()
	learners := make([]string, writers)
	for i := range learners {
		learners[i], _, _ = r.learned()
	}
	ctx, cancel := context.WithCancel(r.Ctx)
	var writing, rebuilding sync.WaitGroup
	for _, learner := range learners {
		for at, here := range []*rig{r.rig, &elsewhere} {
			writing.Go(func() {
				for i := at; i < each; i += 2 {
					here.Accept(learner, self(learner), event([]string{"a", "b"}[i/2%2], "u", progress.Completed, day(2+i)))
				}
			})
		}
	}
	rebuilds := 0
	rebuilding.Go(func() {
		for ctx.Err() == nil {
			r.harm(`DELETE FROM module_facts WHERE module_id = 'b'`)
			r.rebuild()
			rebuilds++
		}
	})
	writing.Wait()
	cancel()
	rebuilding.Wait()
	r.rebuild()
	if found := r.verify(); len(found) > 0 {
		t.Errorf("after %d rebuilds: %q", rebuilds, found)
	}
	for _, learner := range learners {
		if log, head, err := r.Service.History(r.Ctx, learner, 0, 1000); err != nil || len(log) != each+4 || head.Sequence != each+4 {
			t.Errorf("%d entries, head %+v, %v", len(log), head, err)
		}
	}
}

// restless is a store whose learner does something after each snapshot.
type restless struct {
	progresstest.Store

	act func()
}

func (s restless) Snapshot(ctx context.Context, from, to string, fn func(context.Context, progress.Snapshot) error) error {
	defer s.act()
	return s.Store.Snapshot(ctx, from, to, fn)
}

// A learner who learns between the look and the write is looked at again, and one who never rests is
// repaired in the end all the same.
func TestRebuildOfWhoGoesOn(t *testing.T) {
	for _, times := range []int{1, 2, 3, 10} {
		r := newReplayRig(t)
		learner, _, _ := r.learned()
		r.Clock.Set(day(20))
		acted := 0
		elsewhere := *r.rig
		elsewhere.Service = r.Replica() // which remembers nothing of what is harmed
		act := func() {
			if acted++; acted <= times {
				elsewhere.Accept(learner, self(learner), event("b", "u", progress.Completed, day(1+acted)))
			}
		}
		s := &replica{Replays: r.ReplaysOf(r.Service.Service, restless{r.Store, act}, false)}
		r.harm(`DELETE FROM module_facts`)
		drifts, _, last := r.replayOn(s, replay.Request{Write: true})
		if last.Done != 1 || last.Drifted != 1 || len(drifts) != 2 {
			t.Errorf("%d times: %+v %+v", times, drifts, last)
		}
		if found := r.verify(); len(found) > 0 || acted != min(times+1, 3) {
			t.Errorf("%d times: %q after %d looks", times, found, acted)
		}
	}
}

// forgotten is a store of whose commits the outcome is not known, whether they were written or not.
type forgotten struct {
	progresstest.Store

	commits int
}

func (s *forgotten) Commit(ctx context.Context, learnerIDs []string, fn func(context.Context, progress.Tx) error) error {
	if s.commits++; s.commits%2 == 0 {
		if err := s.Store.Commit(ctx, learnerIDs, fn); err != nil {
			return err
		}
	}
	return errs.New(errs.Unavailable, errs.ReasonCommitOutcomeUnknown, "the connection broke")
}

// A rebuild ends when it does not know whether it wrote. The next one goes by what is stored.
func TestRebuildOfUnknownOutcome(t *testing.T) {
	r := newReplayRig(t)
	learner, _, _ := r.learned()
	r.harm(`DELETE FROM module_facts`)
	store, before := &forgotten{Store: r.Store}, r.head(learner)
	s := r.ReplaysOf(r.Service.Service, store, false)
	for try, version := range []int64{before.Version, before.Version + 1} {
		err := s.Run(r.Ctx, replay.Request{Write: true}, func(replay.Report) error { return nil })
		if head := r.head(learner); errs.ReasonOf(err) != errs.ReasonCommitOutcomeUnknown || head.Version != version || head.Sequence != before.Sequence {
			t.Errorf("try %d: head %+v, was %+v: %v", try, head, before, err)
		}
	}
	if drifts, _, _ := r.replayOn(&replica{Replays: s}, replay.Request{Write: true}); len(drifts) > 0 || store.commits != 2 {
		t.Errorf("it is written, and the third try reports %+v after %d commits", drifts, store.commits)
	}
}

// Whatever a life was, taking away all that was folded and rebuilding it gives the same bytes.
func TestRebuildGivesTheSameBytes(t *testing.T) {
	r := newReplayRig(t)
	rapid.Check(t, func(rt *rapid.T) {
		l := &life{Rig: r.rig, Learner: newLearner(), At: day(0)}
		l.World = drawWorld(rt, l.Learner)
		l.World.Events = nil
		r.Catalog.Publish(l.World.Modules, l.World.Paths)
		r.Refresh() // no event is folded by the world before
		rt.Repeat(map[string]func(*rapid.T){
			"record": l.Record, "void": l.Void, "enroll": l.Enroll, "publish module": l.PublishModule, "archive": l.Archive, "zone": l.Zone, "time": l.PassTime,
		})
		r.Refresh()
		one := replay.Request{LearnerID: l.Learner, Write: true}
		if drifts, _, _ := r.replayOn(r.Service, one); len(drifts) > 0 { // and what is stale is fresh now
			rt.Fatalf("%+v", drifts)
		}
		before := r.facts(l.Learner)
		r.harm(`DELETE FROM module_facts WHERE learner_id = $1`, l.Learner)
		r.replayOn(r.Service, one)
		if after := r.facts(l.Learner); after != before {
			rt.Fatalf("before\n%s\nafter\n%s", before, after)
		}
	})
}
