//go:build realservers && failover

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestFailover has standbys take over from Postgres's primary, and from Redis's master, while
// learners' phones use the fleet. As long as commits wait for a standby nothing that was acknowledged
// is lost. Where they do not, what is lost is counted, phones send it again, and no answer is of what
// was lost.
func TestFailover(t *testing.T) {
	s := &standbys{}
	s.Patroni = testenv.NewPatroni(t, func(addr string) string {
		s.peers = append(s.peers, newNetwork(t, addr))
		return s.peers[len(s.peers)-1].addr
	})
	store := &records{urls: map[string]string{}}
	s.Exec(t, rolesOfServices()...)
	for _, service := range storeServices() {
		store.urls[service] = s.URL("app_"+service, "preceptor")
	}
	store.migrate(t)
	sentinels, master, killMaster := testenv.RedisSentinel(t)
	f := newFleet(t, store, directly, "redis+sentinel://"+strings.Join(sentinels, ",")+"/"+master)
	try(t, f, []scenario{
		nothing(),
		{name: "Postgres dies, and not its machine", play: s.postgresDies},
		{name: "the primary's machine dies", play: s.dies},
		{name: "the dead machine comes back", play: s.comesBack},
		{name: "switchover", play: s.switchover},
		{name: "both standbys die", play: s.standbysDie},
		{name: "the primary's machine hangs", play: s.hangs},
		{name: "the hung machine comes back", play: s.comesBack},
		{name: "the primary dies before standbys", play: s.diesAhead, loses: true},
		{name: "the machine that was ahead comes back", play: s.comesBack},
		{name: "Redis's master dies", play: func(tr *trial, r *row) { redisFailsOver(tr, r, sentinels, master, killMaster) }, flawless: true},
	})
}

// standbys are Postgres servers of which any may be the primary.
type standbys struct {
	*testenv.Patroni

	// peers are the networks by which the servers reach each other.
	peers []*network
	// dead is the server that one scenario leaves to the next.
	dead int
}

// primary waits for the server that accepts writes.
func (s *standbys) primary(tr *trial) (node int) {
	tr.t.Helper()
	within(tr.t, "there is one primary", func() (ok bool) {
		var err error
		node, err = s.Primary()
		return err == nil
	})
	return node
}

// whole waits until every standby receives what is written.
func (s *standbys) whole(tr *trial) {
	tr.t.Helper()
	within(tr.t, "all standbys are there", func() bool { return s.Whole() == nil })
}

// postgresDies leaves it to Patroni to start the server again.
func (s *standbys) postgresDies(tr *trial, r *row) {
	tr.t.Helper()
	s.whole(tr)
	r.repaired = testenv.Now() // by Patroni
	s.KillPostgres(s.primary(tr))
	within(tr.t, "tries are refused", func() bool { return r.counts.repeated.Load() >= enoughRefused })
}

// dies leaves writing to a standby: the one that has everything which was acknowledged.
func (s *standbys) dies(tr *trial, r *row) {
	tr.t.Helper()
	s.whole(tr)
	s.dead = s.primary(tr)
	r.repaired = testenv.Now()
	s.Kill(tr.t, s.dead)
	s.takenOver(tr)
}

// takenOver waits until another server than the dead one is the primary.
func (s *standbys) takenOver(tr *trial) {
	tr.t.Helper()
	began := testenv.Now()
	s.primary(tr)
	tr.t.Logf("another was the primary after %.1f s", testenv.Since(began).Seconds())
}

// comesBack starts the dead server again, which is a standby now.
func (s *standbys) comesBack(tr *trial, _ *row) {
	tr.t.Helper()
	s.Start(tr.t, s.dead)
	s.whole(tr)
	if s.primary(tr) == s.dead {
		tr.t.Error("a dead primary came back as the primary")
	}
}

// switchover changes the primary in an orderly way.
func (s *standbys) switchover(tr *trial, r *row) {
	tr.t.Helper()
	s.whole(tr)
	was := s.primary(tr)
	r.repaired = testenv.Now()
	s.Switchover(tr.t)
	if s.primary(tr) == was {
		tr.t.Error("the primary is the one that it was")
	}
}

// standbysDie leaves the primary alone, which then acknowledges nothing: neither what is new nor what
// it has written already for a request that nobody waits for any more.
func (s *standbys) standbysDie(tr *trial, r *row) {
	tr.t.Helper()
	s.whole(tr)
	primary := s.primary(tr)
	var others []int
	for i := range s.Addrs {
		if i != primary {
			others = append(others, i)
		}
	}
	s.Kill(tr.t, others...)
	refused := func(what string, atLeast int64) {
		within(tr.t, what, func() bool { return r.counts.repeated.Load() >= atLeast })
	}
	refused("tries are refused", enoughRefused)
	before := r.counts.batches.Load()
	refused("they are refused when they are sent again", r.counts.repeated.Load()+2*senders)
	if after := r.counts.batches.Load(); after > before {
		r.counts.wrong.Add(after - before)
		r.counts.notef("%d batches were acknowledged by the primary alone", after-before)
	}
	r.repaired = testenv.Now()
	for _, i := range others {
		s.Start(tr.t, i)
	}
}

// hangs stops the primary in its tracks: it takes connections, and nothing on it ever goes on. It is
// switched off before it could.
func (s *standbys) hangs(tr *trial, r *row) {
	tr.t.Helper()
	s.whole(tr)
	s.dead = s.primary(tr)
	r.repaired = testenv.Now()
	s.Pause(tr.t, s.dead)
	s.takenOver(tr)
	tr.await("everybody is served beside the hung server", func(since time.Time) bool { return tr.served(since, true) })
	s.Kill(tr.t, s.dead)
}

// diesAhead has commits wait for no standby, and the primary die with acknowledged events that it
// alone has.
func (s *standbys) diesAhead(tr *trial, r *row) {
	tr.t.Helper()
	s.whole(tr)
	s.Settle(tr.t, false)
	for _, h := range tr.senders {
		h.saves()
	}
	if err := s.Received(); err != nil {
		tr.t.Fatal(err)
	}
	for _, n := range s.peers {
		n.down.Store(true)
		n.cut(func(*wire) bool { return true })
	}
	tr.await("everybody is acknowledged without standbys", func(since time.Time) bool { return tr.served(since, false) })
	s.dead = s.primary(tr)
	r.repaired = testenv.Now()
	s.Kill(tr.t, s.dead)
	s.takenOver(tr)
	for _, n := range s.peers {
		n.down.Store(false)
	}
}

// redisFailsOver has the replica take over the cache, which is used again then.
func redisFailsOver(tr *trial, r *row, sentinels []string, name string, kill func()) {
	tr.t.Helper()
	was, _, err := testenv.RedisSentinelMaster(sentinels, name)
	if err != nil {
		tr.t.Fatal(err)
	}
	r.repaired = testenv.Now() // by the sentinels
	kill()
	tr.goOn(r)
	within(tr.t, "the replica is the master", func() bool {
		addr, _, err := testenv.RedisSentinelMaster(sentinels, name)
		return err == nil && addr != was
	})
	tr.t.Logf("the replica was the master after %.1f s", testenv.Since(r.repaired).Seconds())
	_, had, _ := testenv.RedisSentinelMaster(sentinels, name)
	within(tr.t, "more answers are cached in it", func() bool {
		_, has, err := testenv.RedisSentinelMaster(sentinels, name)
		return err == nil && has > had
	})
}
