//go:build realservers

package e2e

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestFaultsOnCluster breaks the Redis Cluster that the replicas of progress share. What may not
// happen in TestFaults may not here either, and no request may fail.
func TestFaultsOnCluster(t *testing.T) {
	c := &clusterTrial{MortalCluster: testenv.NewMortalCluster(t, 3, 1, "--cluster-require-full-coverage", "no")}
	f := newFleet(t, migrated(t), directly, c.URL())
	all := []scenario{
		nothing(),
		{name: "rolling restart of progress", play: func(tr *trial, r *row) { tr.roll(f.progress, r) }},
		{name: "a master dies", play: c.masterDies},
		{name: "the dead master comes back", play: c.comesBack},
		{name: "a master pauses through a failover", play: c.pauses},
		{name: "a shard dies", play: c.shardDies},
		{name: "a shard dies, all others refuse", play: c.shardDiesForAll},
		{name: "every master flushed", play: c.flush},
		{name: "all nodes die", play: c.allDie},
	}
	for i := range all {
		all[i].flawless = true
	}
	try(t, f, all)
}

// clusterTrial is a cluster of which a trial breaks parts. The shard that has the most answers
// suffers, since learners' cached answers are in a few slots only.
type clusterTrial struct {
	*testenv.MortalCluster

	// dead is the node that one scenario leaves to the next.
	dead int
}

// masterDies leaves a shard to its replica.
func (c *clusterTrial) masterDies(tr *trial, r *row) {
	tr.t.Helper()
	shard := c.busiest(tr)
	c.dead = c.master(tr, shard)
	r.repaired = testenv.Now() // by the cluster itself
	c.Kill(c.dead)
	tr.goOn(r)
	c.heals(tr)
	c.asked(tr, shard)
}

// comesBack starts the dead node again, which is the replica now.
func (c *clusterTrial) comesBack(tr *trial, _ *row) {
	tr.t.Helper()
	c.Start(tr.t, c.dead)
	c.heals(tr)
}

// pauses has a master sleep until its replica has taken over, and wake up in the belief that it
// is the master still.
func (c *clusterTrial) pauses(tr *trial, r *row) {
	tr.t.Helper()
	shard := c.busiest(tr)
	sleeper := c.master(tr, shard)
	c.Pause(tr.t, sleeper)
	tr.goOn(r)
	c.heals(tr)
	r.repaired = testenv.Now()
	c.Resume(tr.t, sleeper)
	c.heals(tr)
	c.asked(tr, shard)
}

// shardDies leaves a third of the slots unserved for a while. The others answer as before: a
// program that gives up on all of them asks some twentieth of what it reads.
func (c *clusterTrial) shardDies(tr *trial, r *row) {
	tr.t.Helper()
	shard := c.busiest(tr)
	others := c.others(shard)
	share := float64(c.keys(tr, others...)) / float64(c.keys(tr, c.others()...))
	c.Kill(c.Nodes(shard)...)
	tr.goOn(r)
	within(tr.t, "the other shards answer", func() bool {
		gets, reads := c.gets(tr, others...), r.counts.reads.Load()
		tr.lasts(r)
		gets, reads = c.gets(tr, others...)-gets, r.counts.reads.Load()-reads
		tr.t.Logf("the other shards were asked %d times, of %d reads and %.0f %% of the answers", gets, reads, 100*share)
		return float64(gets) >= share*float64(reads)/4
	})
	r.repaired = testenv.Now()
	c.Start(tr.t, c.Nodes(shard)...)
	c.heals(tr)
	c.asked(tr, shard)
}

// shardDiesForAll does the same to a cluster that serves all slots or none.
func (c *clusterTrial) shardDiesForAll(tr *trial, r *row) {
	tr.t.Helper()
	c.cover(tr, "yes")
	shard := c.busiest(tr)
	c.Kill(c.Nodes(shard)...)
	within(tr.t, "the others refuse", func() bool { return !c.serves(tr, shard) })
	tr.lasts(r)
	r.repaired = testenv.Now()
	c.Start(tr.t, c.Nodes(shard)...)
	c.heals(tr)
	c.asked(tr, shard)
	c.cover(tr, "no")
}

// flush empties every master while it is in use.
func (c *clusterTrial) flush(tr *trial, _ *row) {
	tr.t.Helper()
	shard := c.busiest(tr)
	for each := range c.Shards() {
		if err := c.Client(c.master(tr, each)).FlushAll(context.Background()).Err(); err != nil {
			tr.t.Fatal(err)
		}
	}
	within(tr.t, "answers are cached again", func() bool { return c.keys(tr, shard) > 0 })
}

// allDie leaves nothing of the cluster but its list of nodes.
func (c *clusterTrial) allDie(tr *trial, r *row) {
	tr.t.Helper()
	shard := c.busiest(tr)
	var all []int
	for _, each := range c.others() {
		all = append(all, c.Nodes(each)...)
	}
	c.Kill(all...)
	tr.lasts(r)
	r.repaired = testenv.Now()
	c.Start(tr.t, all...)
	c.heals(tr)
	within(tr.t, "answers are cached again", func() bool { return c.keys(tr, shard) > 0 })
}

// heals waits until the nodes that run are a whole cluster.
func (c *clusterTrial) heals(tr *trial) {
	tr.t.Helper()
	began := testenv.Now()
	within(tr.t, "the cluster is whole", func() bool { return c.Whole() == nil })
	tr.t.Logf("the cluster was whole after %.1f s", testenv.Since(began).Seconds())
}

// asked waits until a shard is asked for answers.
func (c *clusterTrial) asked(tr *trial, shard int) {
	tr.t.Helper()
	before := c.gets(tr, shard)
	within(tr.t, "the shard is asked", func() bool { return c.gets(tr, shard) > before })
}

// others are all shards but some.
func (c *clusterTrial) others(but ...int) (shards []int) {
	for shard := range c.Shards() {
		if !slices.Contains(but, shard) {
			shards = append(shards, shard)
		}
	}
	return shards
}

// master is the node that is a shard's master.
func (c *clusterTrial) master(tr *trial, shard int) (node int) {
	tr.t.Helper()
	within(tr.t, "the shard has one master", func() (ok bool) {
		var err error
		node, err = c.Master(shard)
		return err == nil
	})
	return node
}

// busiest is the shard with the most keys.
func (c *clusterTrial) busiest(tr *trial) (shard int) {
	tr.t.Helper()
	most := int64(0)
	within(tr.t, "a shard stores answers", func() bool {
		for each := range c.Shards() {
			if n := c.keys(tr, each); n > most {
				shard, most = each, n
			}
		}
		return most > 0
	})
	return shard
}

// keys is how many keys the living nodes of shards have.
func (c *clusterTrial) keys(tr *trial, shards ...int) (n int64) {
	tr.t.Helper()
	for _, shard := range shards {
		for _, node := range c.Alive(shard) {
			have, err := c.Client(node).DBSize(context.Background()).Result()
			if err != nil {
				tr.t.Fatal(err)
			}
			n += have
		}
	}
	return n
}

// gets is how often the living nodes of shards were asked for answers.
func (c *clusterTrial) gets(tr *trial, shards ...int) (n int64) {
	tr.t.Helper()
	for _, shard := range shards {
		for _, node := range c.Alive(shard) {
			info, err := c.Client(node).Info(context.Background(), "commandstats").Result()
			if err != nil {
				tr.t.Fatal(err)
			}
			_, after, _ := strings.Cut(info, "cmdstat_get:calls=")
			calls, _, _ := strings.Cut(after, ",")
			asked, _ := strconv.ParseInt(calls, 10, 64) // none, where it was never asked
			n += asked
		}
	}
	return n
}

// serves reports whether a cluster that lacks a shard serves the others' slots.
func (c *clusterTrial) serves(tr *trial, without int) bool {
	tr.t.Helper()
	info, err := c.Client(c.master(tr, (without+1)%c.Shards())).ClusterInfo(context.Background()).Result()
	return err == nil && strings.Contains(info, "cluster_state:ok")
}

// cover sets whether a cluster that lacks a shard serves the others' slots.
func (c *clusterTrial) cover(tr *trial, fully string) {
	tr.t.Helper()
	for i := range c.Addrs {
		if err := c.Client(i).ConfigSet(context.Background(), "cluster-require-full-coverage", fully).Err(); err != nil {
			tr.t.Fatal(err)
		}
	}
}
