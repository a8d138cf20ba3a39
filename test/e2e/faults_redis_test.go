//go:build realservers

package e2e

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// mortalRedis is a server that a test kills, stops in its tracks, and starts again empty.
type mortalRedis struct {
	addr    string
	client  *redis.Client
	running *exec.Cmd
}

func newMortalRedis(t *testing.T) *mortalRedis {
	t.Helper()
	r := &mortalRedis{addr: steadyAddrs(t, 1)[0]}
	r.client = redis.NewClient(&redis.Options{Addr: r.addr, MaxRetries: -1})
	t.Cleanup(func() {
		r.kill()
		_ = r.client.Close()
	})
	r.start(t)
	return r
}

// start runs the server until it answers.
func (r *mortalRedis) start(t *testing.T) {
	t.Helper()
	_, port, _ := strings.Cut(r.addr, ":")
	r.running = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "no")
	r.running.SysProcAttr = dieWithUs()
	if err := r.running.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, "Redis answers", func() bool { return r.client.Ping(context.Background()).Err() == nil })
}

// kill ends the server at once.
func (r *mortalRedis) kill() {
	_ = r.running.Process.Kill()
	_ = r.running.Wait()
}

// pause has the server take connections and answer nobody; resume ends that.
func (r *mortalRedis) pause()  { _ = r.running.Process.Signal(syscall.SIGSTOP) }
func (r *mortalRedis) resume() { _ = r.running.Process.Signal(syscall.SIGCONT) }

// flush empties the server.
func (r *mortalRedis) flush(t *testing.T) {
	t.Helper()
	if err := r.client.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}
