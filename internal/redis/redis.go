// Package redis is the client of a Redis that the program can do without: a single server, one
// behind Sentinel, or a Cluster. A breaker before each node sees to it that one which is dead or
// slow costs little.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// The defaults of Options.
const (
	// DefaultTimeout is some fifty times what a response takes that is worth having.
	DefaultTimeout = 50 * time.Millisecond
	// DefaultPause is how long a Redis that failed is left alone.
	DefaultPause = time.Second
)

const (
	// dialTimeout bounds the making of a connection. No caller waits that long: a command that finds none
	// ready ends after its timeout, and a later one finds it.
	dialTimeout = time.Second
	// greetTimeout is how long a start waits for Redis, to distinguish a wrong password from a server that is away.
	greetTimeout = 2 * time.Second
	// probes are enough keys to meet a slot of another node, should the server be one of a cluster.
	probes = 8
)

// probe returns a key that a user with the rights of docs/operations.md may read, and that is never written.
func probe(i int) string { return fmt.Sprintf("{probe-%d}:preceptor", i) }

// Options are the settings of a Client.
type Options struct {
	// Timeout bounds each command; 0: DefaultTimeout.
	Timeout time.Duration
	// Pause is how long no command is sent after a failure; 0: DefaultPause.
	Pause  time.Duration
	Logger *slog.Logger
	// Tracer makes spans of commands; nil: none are made.
	Tracer *tracing.Tracer
	// Now is the clock by which the server's certificate is valid; nil: the machine's.
	Now func() time.Time
}

// Client is a client of Redis, alone, behind Sentinel, or as a Cluster.
//
// Each node has a breaker: the first command that fails opens it, and then no command is sent to that
// node for a pause, after which one command tries again. So a node that is dead or slow costs one short
// timeout a pause, and the others of its cluster nothing.
type Client struct {
	url     address
	client  goredis.UniversalClient
	timeout time.Duration
	pause   time.Duration
	log     *slog.Logger

	failures, skipped atomic.Uint64

	mu    sync.Mutex
	nodes map[string]*node
	// failed is how many nodes' breakers are not closed.
	failed int
	// minded reports whether mind runs. It does so under minding, which stop ends, and ended waits for it.
	minded  bool
	minding context.Context //nolint:containedctx // of no caller: it ends with the Redis
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// Open opens the Redis of a url: redis:// for one server, redis+sentinel:// with the
// sentinels and the master's name, redis+cluster:// with some of the nodes; rediss for TLS.
// It returns Invalid for any other url, and FailedPrecondition when the server refuses us, as for a
// wrong password. A server that cannot be reached is no error: it is tried again while the program runs.
func Open(ctx context.Context, url string, o Options) (*Client, error) {
	u, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	goredis.SetLogger(libraryLog{o.Logger}) // the library has one for the whole process
	r := &Client{
		url: u, log: o.Logger, timeout: cmp.Or(o.Timeout, DefaultTimeout), pause: cmp.Or(o.Pause, DefaultPause),
		nodes: map[string]*node{},
	}
	r.client = newClient(u, r.timeout, o.Now)
	if o.Tracer != nil {
		r.client.AddHook(spans{o.Tracer})
	}
	r.minding, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	hello, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	err = r.greet(hello)
	if why := refusal(err); why != "" {
		_ = r.Close()
		return nil, errs.New(errs.FailedPrecondition, errs.ReasonRedisRefused, "%s %s", u, why)
	}
	// An error opens the breaker, which logs it.
	_ = r.node(somewhere).do(func() error { return err })
	return r, nil
}

// newClient returns the library's client for a url. It connects when it is first used.
func newClient(u address, timeout time.Duration, now func() time.Time) goredis.UniversalClient {
	o := &goredis.UniversalOptions{
		Addrs: u.addrs, MasterName: u.master, DB: u.db, IsClusterMode: u.kind == isCluster,
		Username: u.username, Password: u.password, SentinelUsername: u.sentinelUsername, SentinelPassword: u.sentinelPassword,
		ContextTimeoutEnabled: true,
		DialTimeout:           dialTimeout,
		DialerRetries:         1,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		// Once, at once, within the command's timeout: a connection of the pool may have died.
		MaxRetries:      1,
		MinRetryBackoff: time.Millisecond,
		MaxRetryBackoff: time.Millisecond,
		DisableIdentity: true,
		// Notices of maintenance are not needed: what fails is tried again.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if u.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Time: now}
	}
	switch u.kind {
	case isCluster:
		cluster := o.Cluster()
		// A node that failed is replaced within seconds, by one whose address nobody redirects us to.
		cluster.ClusterStateReloadInterval = time.Second
		return goredis.NewClusterClient(cluster)
	case isSentinel:
		return goredis.NewFailoverClient(o.Failover())
	case isSingle:
	}
	return goredis.NewClient(o.Simple())
}

// greet returns nil when the server responds, lets us in, and is of the kind that the url names.
func (r *Client) greet(ctx context.Context) error {
	for i := range probes {
		if err := r.client.Get(ctx, probe(i)).Err(); err != nil && !errors.Is(err, goredis.Nil) {
			return err
		}
	}
	return nil
}

// refusal returns what is wrong with the url when the server's response shows it; "" for errors that
// may pass.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for _, each := range []struct{ sign, fault string }{
		{"WRONGPASS", "refuses the user and password"},
		{"NOAUTH", "wants a password"},
		{"NOPERM", "does not let this user read keys that begin with {"},
		{"DB index", "has no database of that number"},
		{"MOVED", "is a node of a cluster: write redis+cluster://"},
		{"cluster support disabled", "is not a cluster: write redis://"},
		{"first record does not look like a TLS handshake", "does not speak TLS: write redis instead of rediss"},
	} {
		if strings.Contains(text, each.sign) {
			return each.fault
		}
	}
	return ""
}

// errCallerGone marks a command that ended with its caller, which is no fault of Redis.
var errCallerGone = errors.New("the caller has gone")

// Do runs commands about a key within the timeout of one, unless the node that has the key failed
// a moment ago. Its error is for a count or a fallback, never for a caller.
func (r *Client) Do(ctx context.Context, key string, f func(context.Context, goredis.UniversalClient) error) error {
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	at := r.node(somewhere)
	if cluster, ok := r.client.(*goredis.ClusterClient); ok {
		master := ""
		if err := at.do(func() (err error) {
			master, err = masterOf(limited, cluster, key)
			return excused(ctx, limited, err)
		}); err != nil {
			return err
		}
		at = r.node(master)
	}
	return at.do(func() error { return excused(ctx, limited, f(limited, r.client)) })
}

// excused marks a failure whose caller has gone, or had less time than limited would have left: a
// connection may meet the caller's deadline a moment before the caller's context does.
func excused(caller, limited context.Context, err error) error {
	if err == nil {
		return nil
	}
	deadline, has := caller.Deadline()
	ours, _ := limited.Deadline()
	timeout, ok := errors.AsType[net.Error](err)
	if caller.Err() != nil || has && deadline.Equal(ours) && ok && timeout.Timeout() {
		return fmt.Errorf("%w: %w", errCallerGone, err)
	}
	return err
}

// Publish sends messages on a channel. It has no breaker: its callers run in the background, and try
// again. On a cluster another channel may begin at a node that responds.
func (r *Client) Publish(ctx context.Context, channel string, messages ...string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	_, err := r.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for _, each := range messages {
			pipe.Publish(ctx, channel, each)
		}
		return nil
	})
	if err != nil {
		r.failures.Add(1)
	}
	return err
}

// Subscribe listens to channels on a connection of its own, which the caller closes; receiving shows
// whether it works.
func (r *Client) Subscribe(ctx context.Context, channels ...string) *goredis.PubSub {
	return r.client.Subscribe(ctx, channels...)
}

// Stats is what a Client did so far, and whether commands are sent at present.
type Stats struct {
	// Failures are commands without a response in time, or with an error.
	Failures uint64
	// Skipped are commands that were not sent, since one had failed a moment before.
	Skipped uint64
	// State is that of the breakers: "closed" when every node responds, "open" while one is left
	// alone, "half-open" while the next command tries it.
	State string
}

// Stats returns what happened so far.
func (r *Client) Stats() Stats {
	return Stats{
		Failures: r.failures.Load(), Skipped: r.skipped.Load(), State: r.state().String(),
	}
}

// Reachable reports whether every node responded last; after a failure it tries again when the pause
// is over.
func (r *Client) Reachable(ctx context.Context) bool {
	if r.state() != gobreaker.StateClosed {
		r.Ping(ctx)
	}
	return r.state() == gobreaker.StateClosed
}

// String returns the url without user and password.
func (r *Client) String() string { return r.url.String() }

// Close ends the connections.
func (r *Client) Close() error {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.ended.Wait()
	return r.client.Close()
}

// libraryLog logs what the library logs, for debugging only: this package logs what matters.
type libraryLog struct{ log *slog.Logger }

// Printf logs a message of the library.
func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
	}
}
