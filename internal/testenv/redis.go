package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Redis starts one server and gives its address.
func Redis(t T) string {
	t.Helper()
	node := startRedis(t, Ports(t, 1)[0])
	return node.addr
}

// RedisTLS starts one server that shows a certificate, and gives the address at which it speaks TLS.
// It asks its clients for none. extra are arguments of its own.
func RedisTLS(t T, certificate, key string, extra ...string) string {
	t.Helper()
	ports := Ports(t, 2)
	startRedis(t, ports[0], append([]string{ // its port in the clear is for seeing that it is up
		"--tls-port", strconv.Itoa(ports[1]), "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no",
	}, extra...)...)
	return "127.0.0.1:" + strconv.Itoa(ports[1])
}

// MortalRedis is one server that its test kills, stops in its tracks, empties, and starts again
// with nothing in it.
type MortalRedis struct {
	// Addr stays the same over lives.
	Addr string

	port  int
	extra []string
	node  *redisNode
}

// NewMortalRedis starts a server; extra are arguments of its own, as "--requirepass".
func NewMortalRedis(t T, extra ...string) *MortalRedis {
	t.Helper()
	r := &MortalRedis{port: Ports(t, 1)[0], extra: extra}
	r.Start(t)
	r.Addr = r.node.addr
	return r
}

// PID returns the id of the server's process.
func (r *MortalRedis) PID() int { return r.node.process.Pid }

// Kill ends the server at once.
func (r *MortalRedis) Kill() { r.node.end() }

// Start starts it again.
func (r *MortalRedis) Start(t T) {
	t.Helper()
	r.node = startRedis(t, r.port, r.extra...)
}

// Pause has the server take connections and never respond.
func (r *MortalRedis) Pause(t T) {
	t.Helper()
	r.node.signal(t, syscall.SIGSTOP)
}

// Resume has it go on after a pause.
func (r *MortalRedis) Resume(t T) {
	t.Helper()
	r.node.signal(t, syscall.SIGCONT)
}

// Flush empties it.
func (r *MortalRedis) Flush(t T) {
	t.Helper()
	must(t, r.node.client.FlushAll(context.Background()).Err())
}

// RedisSentinel starts a master with one replica and three sentinels that watch them, and gives
// the sentinels' addresses, the name by which they know the master, and what kills it.
func RedisSentinel(t T) (addrs []string, name string, killMaster func()) {
	t.Helper()
	name = "main"
	ports := Ports(t, 5)
	master := startRedis(t, ports[0], "--repl-diskless-sync-delay", "0")
	replica := startRedis(t, ports[1], "--replicaof", "127.0.0.1 "+strconv.Itoa(ports[0]))
	ctx := context.Background()
	replica.wait(t, func() error { return contains(replica.client.Info(ctx, "replication"), "master_link_status:up") })
	for _, port := range ports[2:] {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2\nsentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 3000\n",
			name, ports[0], name, name)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		node := startRedis(t, port, file, "--sentinel")
		addrs = append(addrs, node.addr)
	}
	for _, addr := range addrs {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: addr})
		defer func() { _ = sentinel.Close() }()
		eventually(t, "sentinel", func() error {
			known, err := sentinel.Master(ctx, name).Result()
			if err == nil && (known["num-slaves"] != "1" || known["num-other-sentinels"] != "2") {
				err = fmt.Errorf("knows %v", known)
			}
			return err
		})
	}
	return addrs, name, master.end
}

// RedisSentinelMaster returns which server the first sentinel that responds takes for the master, and
// how many keys that has.
func RedisSentinelMaster(sentinels []string, name string) (addr string, keys int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := redis.NewFailoverClient(&redis.FailoverOptions{SentinelAddrs: sentinels, MasterName: name, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return "", 0, err
	}
	_, after, _ := strings.Cut(info, "tcp_port:")
	port, _, _ := strings.Cut(after, "\r\n")
	keys, err = client.DBSize(ctx).Result()
	return "127.0.0.1:" + port, keys, err
}

func contains(cmd *redis.StringCmd, part string) error {
	text, err := cmd.Result()
	if err == nil && !strings.Contains(text, part) {
		err = errors.New(text)
	}
	return err
}

// redisNode is one server, and a client for it.
type redisNode struct {
	*server
	addr   string
	client *redis.Client
}

func startRedis(t T, port int, extra ...string) *redisNode {
	t.Helper()
	var config []string // comes before all settings
	if len(extra) > 0 && !strings.HasPrefix(extra[0], "--") {
		config, extra = extra[:1], extra[1:]
	}
	args := slices.Concat(config, []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(),
		"--save", "", "--appendonly", "no", "--loglevel", "warning",
	}, extra)
	cmd := exec.Command(lookPath(t, "redis-server"), args...) //nolint:gosec // our own arguments
	addr := "127.0.0.1:" + strconv.Itoa(port)
	node := &redisNode{addr: addr, server: start(t, cmd, syscall.SIGKILL)}
	node.client = redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { _ = node.client.Close() })
	node.wait(t, func() error {
		err := node.client.Ping(context.Background()).Err()
		if err != nil && strings.Contains(err.Error(), "NOAUTH") {
			return nil // it responds
		}
		return err
	})
	return node
}
