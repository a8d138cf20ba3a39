package testenv

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// slots is how many hash slots every Redis Cluster has.
const slots = 16384

// Redis starts one server and gives its address.
func Redis(t testing.TB) string {
	t.Helper()
	node := startRedis(t, FreePorts(t, 1)[0])
	return node.addr
}

// RedisCluster starts masters × (1 + replicas) nodes and gives their addresses, masters
// first, once every node knows all the others. It takes seconds: share one per package.
func RedisCluster(t testing.TB, masters, replicas int) []string {
	t.Helper()
	n := masters * (1 + replicas)
	ports := FreePorts(t, 2*n)
	nodes := make([]*redisNode, n)
	for i := range nodes {
		nodes[i] = startRedis(t, ports[i], "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", "2000", "--cluster-port", strconv.Itoa(ports[n+i]),
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
	}
	ctx := context.Background()
	for i, node := range nodes {
		must(t, node.client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i < masters {
			must(t, node.client.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", i*slots/masters, (i+1)*slots/masters-1).Err())
		}
		if i > 0 {
			must(t, nodes[0].client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", ports[i], ports[n+i]).Err())
		}
	}
	for i := masters; i < n; i++ {
		master, err := nodes[(i-masters)%masters].client.Do(ctx, "CLUSTER", "MYID").Text()
		must(t, err)
		// Refused until gossip has told the node of its master.
		nodes[i].wait(t, func() error { return nodes[i].client.Do(ctx, "CLUSTER", "REPLICATE", master).Err() })
	}
	addrs := make([]string, n)
	for i, node := range nodes {
		addrs[i] = node.addr
		node.wait(t, func() error { return node.whole(ctx, n) })
	}
	return addrs
}

type redisNode struct {
	*server
	addr   string
	client *redis.Client
}

func startRedis(t testing.TB, port int, extra ...string) *redisNode {
	t.Helper()
	args := append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(),
		"--save", "", "--appendonly", "no", "--loglevel", "warning",
	}, extra...)
	cmd := exec.Command(lookPath(t, "redis-server"), args...) //nolint:gosec // our own arguments
	addr := "127.0.0.1:" + strconv.Itoa(port)
	node := &redisNode{addr: addr, server: start(t, cmd, syscall.SIGKILL)}
	node.client = redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { _ = node.client.Close() })
	node.wait(t, func() error { return node.client.Ping(context.Background()).Err() })
	return node
}

func (r *redisNode) whole(ctx context.Context, nodes int) error {
	info, err := r.client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r\n", nodes)) {
		return fmt.Errorf("cluster info: %s", info)
	}
	return nil
}
