package testenv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// slots is how many hash slots every Redis Cluster has.
const slots = 16384

// RedisCluster starts masters × (1 + replicas) nodes and gives their addresses, masters
// first, once every node knows all the others. It takes seconds: share one per package.
func RedisCluster(t T, masters, replicas int) []string {
	t.Helper()
	return NewMortalCluster(t, masters, replicas).Addrs
}

// MortalCluster is a Redis Cluster whose nodes its test kills, stops in their tracks, and starts
// again. A node that starts again knows the cluster that it was in, and has no keys. A shard is a
// master with its replicas; nodes and shards are numbered from 0.
type MortalCluster struct {
	// Addrs are the nodes', and stay the same over lives: first each shard's first master, then
	// each one's first replica, and so on.
	Addrs []string

	shards     int
	ports, bus []int
	dir        string
	extra      []string
	nodes      []*redisNode
	// away are the nodes that are dead or paused: nobody asks them.
	away []bool
}

// NewMortalCluster starts one that loses a master for two to four seconds when that dies; extra
// are arguments for each node.
func NewMortalCluster(t T, masters, replicas int, extra ...string) *MortalCluster {
	t.Helper()
	n := masters * (1 + replicas)
	ports := Ports(t, 2*n)
	c := &MortalCluster{
		Addrs: make([]string, n), shards: masters, ports: ports[:n], bus: ports[n:], dir: t.TempDir(), extra: extra,
		nodes: make([]*redisNode, n), away: make([]bool, n),
	}
	for i := range n {
		c.Start(t, i)
		c.Addrs[i] = c.nodes[i].addr
	}
	ctx := context.Background()
	for i, node := range c.nodes {
		must(t, node.client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i < masters {
			must(t, node.client.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", i*slots/masters, (i+1)*slots/masters-1).Err())
		}
		if i > 0 {
			must(t, c.nodes[0].client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", c.ports[i], c.bus[i]).Err())
		}
	}
	for i := masters; i < n; i++ {
		master, err := c.nodes[i%masters].client.Do(ctx, "CLUSTER", "MYID").Text()
		must(t, err)
		// Refused until the node has learned of its master by gossip.
		c.nodes[i].wait(t, func() error { return c.nodes[i].client.Do(ctx, "CLUSTER", "REPLICATE", master).Err() })
	}
	eventually(t, "the cluster", c.Whole)
	return c
}

// URL is the cluster's address for the program.
func (c *MortalCluster) URL() string { return "redis+cluster://" + strings.Join(c.Addrs, ",") }

// Shards is how many shards there are.
func (c *MortalCluster) Shards() int { return c.shards }

// Nodes are the nodes of a shard.
func (c *MortalCluster) Nodes(shard int) []int {
	var nodes []int
	for i := shard; i < len(c.nodes); i += c.shards {
		nodes = append(nodes, i)
	}
	return nodes
}

// Alive are those of them that are neither dead nor paused.
func (c *MortalCluster) Alive(shard int) []int {
	return slices.DeleteFunc(c.Nodes(shard), func(i int) bool { return c.away[i] })
}

// Kill ends nodes at once.
func (c *MortalCluster) Kill(nodes ...int) {
	for _, i := range nodes {
		c.away[i] = true
		c.nodes[i].end()
	}
}

// Start starts nodes again.
func (c *MortalCluster) Start(t T, nodes ...int) {
	t.Helper()
	for _, i := range nodes {
		c.nodes[i] = startRedis(t, c.ports[i], slices.Concat([]string{
			"--cluster-enabled", "yes", "--cluster-config-file", filepath.Join(c.dir, strconv.Itoa(i)+".conf"),
			"--cluster-node-timeout", "2000", "--cluster-port", strconv.Itoa(c.bus[i]),
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0",
		}, c.extra)...)
		c.away[i] = false
	}
}

// Pause has a node take connections and never respond.
func (c *MortalCluster) Pause(t T, node int) {
	t.Helper()
	c.away[node] = true
	c.nodes[node].signal(t, syscall.SIGSTOP)
}

// Resume has it go on after a pause.
func (c *MortalCluster) Resume(t T, node int) {
	t.Helper()
	c.nodes[node].signal(t, syscall.SIGCONT)
	c.away[node] = false
}

// Client asks one node, and no other in its name.
func (c *MortalCluster) Client(node int) *redis.Client { return c.nodes[node].client }

// Master is the one living node of a shard that takes writes.
func (c *MortalCluster) Master(shard int) (int, error) {
	master := -1
	for _, i := range c.Alive(shard) {
		info, err := c.nodes[i].client.Info(context.Background(), "replication").Result()
		switch {
		case err != nil:
			return 0, err
		case strings.Contains(info, "master_link_status:up"):
		case !strings.Contains(info, "role:master"):
			return 0, fmt.Errorf("node %d has not found its master: %s", i, info)
		case master >= 0:
			return 0, fmt.Errorf("nodes %d and %d both are masters of shard %d", master, i, shard)
		default:
			master = i
		}
	}
	if master < 0 {
		return 0, fmt.Errorf("shard %d has no master", shard)
	}
	return master, nil
}

// Whole returns why the cluster is not whole; nil when all slots are served, each shard has one
// master that its replicas follow, and every living node knows so.
func (c *MortalCluster) Whole() error {
	for shard := range c.shards {
		if _, err := c.Master(shard); err != nil {
			return err
		}
	}
	known := fmt.Sprintf("cluster_known_nodes:%d\r\n", len(c.nodes))
	for i, node := range c.nodes {
		if c.away[i] {
			continue
		}
		info, err := node.client.ClusterInfo(context.Background()).Result()
		if err != nil {
			return err
		}
		for _, each := range []string{"cluster_state:ok", "cluster_slots_ok:" + strconv.Itoa(slots), known} {
			if !strings.Contains(info, each) {
				return errors.New(info)
			}
		}
	}
	return nil
}
