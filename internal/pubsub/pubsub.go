// Package pubsub notifies replicas, over Redis, that a learner's log grew. A message is only a hint: it
// may be lost, late, doubled, or about a learner that its receiver does not know. A replica that receives
// one looks into the database; a replica that receives none looks there anyway, a little later.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/redis"
)

const (
	// channels is how many there are. On a cluster each has a node of its own to begin at, so that
	// no single one takes all publications in, and none is needed.
	channels = 64
	// waiting is how many learners' messages may wait to be sent; further ones are dropped.
	waiting = 4096
	// batch is how many messages one round trip takes at most.
	batch = 256
	// attempts is on how many channels messages are tried before a pause.
	attempts = 3
	// quiet is how long a connection may be silent before it is pinged, and how long the reply may take.
	quiet = time.Second
	// pause is about how long a broken connection waits before the next, and how long messages wait
	// that Redis does not accept.
	pause = 200 * time.Millisecond
)

// message reports that a learner's log has reached a sequence.
type message struct {
	learnerID string
	sequence  int64
}

// Notifications sends and receives messages.
type Notifications struct {
	redis *redis.Client
	log   *slog.Logger
	queue chan message
}

// New returns notifications over a Redis. Nothing is sent or received until Run.
func New(client *redis.Client, log *slog.Logger) *Notifications {
	return &Notifications{redis: client, log: log, queue: make(chan message, waiting)}
}

// Send notifies all replicas. It never waits: a message for which the queue has no room is lost.
func (n *Notifications) Send(learnerID string, sequence int64) {
	select {
	case n.queue <- message{learnerID, sequence}:
	default:
	}
}

// Run sends and receives until ctx ends; what waits to be sent then is still sent. It calls received
// with each message that arrives, also this replica's own, and live with true when every message that
// is sent from now on arrives, with false when that is over.
func (n *Notifications) Run(ctx context.Context, live func(bool), received func(learnerID string, sequence int64)) {
	var both sync.WaitGroup
	both.Go(func() { n.sendAll(ctx) })
	both.Go(func() {
		for ctx.Err() == nil {
			err := n.listen(ctx, live, received)
			live(false)
			if ctx.Err() == nil {
				n.redis.Ping(ctx) // a service without traffic would not notice otherwise
				n.log.DebugContext(ctx, "no notifications are received", "redis", n.redis.String(), "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // jitter is no secret
			}
		}
	})
	both.Wait()
}

// sendAll sends messages as they come, those of one moment together. Messages that Redis does not
// accept wait: on a cluster the receivers' connections may work while the sender's are broken.
func (n *Notifications) sendAll(ctx context.Context) {
	sending := context.WithoutCancel(ctx) // Redis has a timeout of its own
	newest := map[string]int64{}
	for {
		n.gather(newest)
		if len(newest) == 0 {
			select {
			case m := <-n.queue:
				newest[m.learnerID] = m.sequence
			case <-ctx.Done():
				if len(n.queue) == 0 {
					return
				}
			}
			continue
		}
		if n.send(sending, newest) {
			continue
		}
		select {
		case <-ctx.Done():
			return // Redis is away, and messages are hints
		case <-time.After(pause):
		}
	}
}

// gather takes the newest messages out of the queue, without waiting for any.
func (n *Notifications) gather(newest map[string]int64) {
	for len(newest) < waiting {
		select {
		case m := <-n.queue:
			newest[m.learnerID] = max(newest[m.learnerID], m.sequence)
		default:
			return
		}
	}
}

// send reports whether Redis accepted some of the messages, and removes those. All replicas listen to
// every channel: one begins at a node that responds, if any does.
func (n *Notifications) send(ctx context.Context, newest map[string]int64) bool {
	var ids, messages []string
	for learnerID, sequence := range newest {
		if len(ids) == batch {
			break
		}
		ids = append(ids, learnerID)
		messages = append(messages, learnerID+" "+strconv.FormatInt(sequence, 10))
	}
	for range attempts {
		channel := channelName(rand.N[uint32](channels))
		if n.redis.Publish(ctx, channel, messages...) == nil {
			for _, learnerID := range ids {
				delete(newest, learnerID)
			}
			return true
		}
	}
	return false
}

// listen receives messages on one connection, until it breaks or ctx ends. On a cluster that is to any
// node, since all pass on everything.
func (n *Notifications) listen(ctx context.Context, live func(bool), received func(string, int64)) error {
	sub := n.redis.Subscribe(ctx, channelNames()...)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	confirmed, pinged := 0, false
	for {
		reply, err := sub.ReceiveTimeout(ctx, quiet)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !pinged {
			pinged = true
			err = sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		pinged = false
		switch r := reply.(type) {
		case *goredis.Subscription:
			if confirmed++; confirmed == channels {
				live(true)
			}
		case *goredis.Message:
			if m, ok := parse(r.Payload); ok {
				received(m.learnerID, m.sequence)
			}
		}
	}
}

// parse reads a message, strictly: others may write into our channels.
func parse(text string) (message, bool) {
	id, number, _ := strings.Cut(text, " ")
	sequence, err := strconv.ParseInt(number, 10, 64)
	return message{id, sequence}, err == nil && sequence > 0 && len(id) == 36 && uuid.Validate(id) == nil
}

func channelName(i uint32) string { return fmt.Sprintf("preceptor:log:%02d", i) }

// channelNames returns all channels, beginning anywhere: a cluster is listened to at the node that the
// first one begins at.
func channelNames() []string {
	names := make([]string, channels)
	first := rand.N[uint32](channels)
	for i := range names {
		names[i] = channelName((first + uint32(i)) % channels)
	}
	return names
}
