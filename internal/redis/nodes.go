package redis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// somewhere is the node of a Redis that is not a cluster; of a cluster, it stands for finding out which
// node has a key.
const somewhere = ""

// node is a server that holds keys.
type node struct {
	redis   *Client
	addr    string
	breaker *gobreaker.CircuitBreaker[struct{}]
	// last is the newest failure, for the log.
	last atomic.Pointer[error]
	// failed reports whether the breaker is not closed; the Client's lock guards it.
	failed bool
}

// node returns the node of an address.
func (r *Client) node(addr string) *node {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.nodes[addr]
	if at == nil {
		at = &node{redis: r, addr: addr}
		at.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:       r.pause,
			MaxRequests:   1,
			ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures > 0 },
			IsExcluded:    func(err error) bool { return errors.Is(err, errCallerGone) },
			OnStateChange: func(_ string, _, to gobreaker.State) { r.changed(at, to) },
		})
		r.nodes[addr] = at
	}
	return at
}

// masterOf returns the address of the node that has a key, by the state of the cluster, which the library
// fetches when it has none, and renews in the background.
func masterOf(ctx context.Context, cluster *goredis.ClusterClient, key string) (string, error) {
	master, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return "", err
	}
	return master.Options().Addr, nil
}

// do runs a command, unless one failed a moment ago.
func (n *node) do(f func() error) error {
	_, err := n.breaker.Execute(func() (struct{}, error) {
		err := f()
		if err != nil && !errors.Is(err, errCallerGone) {
			n.redis.failures.Add(1)
			n.last.Store(&err)
		}
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		n.redis.skipped.Add(1)
	}
	return err
}

// changed notes that a breaker opens or closes. It is called by the breaker, which is locked.
func (r *Client) changed(at *node, to gobreaker.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := to != gobreaker.StateClosed
	if failed == at.failed || r.nodes[at.addr] != at {
		return
	}
	at.failed = failed
	if !failed {
		r.recovered()
		return
	}
	r.failed++
	if r.failed == 1 {
		log := r.log
		if at.addr != somewhere {
			log = log.With("node", at.addr)
		}
		log.Warn("redis is not reachable; answers come from the database", "redis", r.url.String(), "error", at.why())
	}
	if r.url.kind == isCluster && !r.minded && r.minding.Err() == nil {
		r.minded = true
		r.ended.Go(r.mind)
	}
}

// why returns the newest failure.
func (n *node) why() error {
	if last := n.last.Load(); last != nil {
		return *last
	}
	return nil
}

// recovered notes that a node responds again, or is no longer part of the cluster. The caller holds the lock.
func (r *Client) recovered() {
	r.failed--
	if r.failed == 0 {
		r.log.Info("redis is reachable again", "redis", r.url.String())
	}
}

// mind pings a cluster once a pause until every node responds: no other command goes to a node that
// was replaced.
func (r *Client) mind() {
	for {
		select {
		case <-r.minding.Done():
			return
		case <-time.After(r.pause):
		}
		r.Ping(r.minding)
		r.mu.Lock()
		more := r.failed > 0
		r.minded = more
		r.mu.Unlock()
		if !more {
			return
		}
	}
}

// state returns the worst state of a node.
func (r *Client) state() gobreaker.State {
	r.mu.Lock()
	nodes := slices.Collect(maps.Values(r.nodes))
	r.mu.Unlock() // reading a breaker's state may call changed
	worst := gobreaker.StateClosed
	for _, each := range nodes {
		worst = max(worst, each.breaker.State()) // closed, half-open, open
	}
	return worst
}

// Ping sends a command to every node; Reachable reports the result.
func (r *Client) Ping(ctx context.Context) {
	cluster, ok := r.client.(*goredis.ClusterClient)
	if !ok {
		r.ping(ctx, somewhere, r.client)
		return
	}
	limited, cancel := context.WithTimeout(ctx, 2*r.timeout) // for which node has what, and for all at once
	defer cancel()
	var mu sync.Mutex
	masters := map[string]bool{somewhere: true}
	err := r.node(somewhere).do(func() error {
		return excused(ctx, limited, cluster.ForEachMaster(limited, func(limited context.Context, client *goredis.Client) error {
			addr := client.Options().Addr
			mu.Lock()
			masters[addr] = true
			mu.Unlock()
			r.ping(limited, addr, client)
			return nil
		}))
	})
	if err == nil {
		r.forget(masters)
	}
}

// ping reads a key of one node, as callers do: in a cluster that lacks a shard, a node may be alive and
// serve no keys.
func (r *Client) ping(ctx context.Context, addr string, client goredis.Cmdable) {
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	// The breaker takes note of the error.
	_ = r.node(addr).do(func() error {
		err := client.Get(limited, probe(0)).Err()
		_, moved := goredis.IsMovedError(err)
		_, asks := goredis.IsAskError(err)
		if moved || asks || errors.Is(err, goredis.Nil) {
			return nil
		}
		return excused(ctx, limited, err)
	})
}

// forget drops the nodes that no longer have keys: others took over.
func (r *Client) forget(masters map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for addr, each := range r.nodes {
		if masters[addr] {
			continue
		}
		delete(r.nodes, addr)
		if each.failed {
			r.recovered()
		}
	}
}
