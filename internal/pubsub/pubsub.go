// Package pubsub passes word between replicas, over Redis, that a learner's log grew. A word is a
// hint and never news: it may be lost, late, doubled, or about nobody that its hearer knows. Who
// hears one looks into the database; who hears none looks there anyway, a little later.
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
	// waiting is how many learners' words may wait to be sent; further ones are dropped.
	waiting = 4096
	// together is how many words one round trip takes at most.
	together = 256
	// attempts is on how many channels words are tried before a pause.
	attempts = 3
	// quiet is how long nothing may be heard before the connection is asked whether it lives, and
	// how long its answer may take.
	quiet = time.Second
	// pause is about how long a broken connection waits before the next, and how long words do that
	// Redis does not take.
	pause = 200 * time.Millisecond
)

type word struct {
	learnerID string
	sequence  int64
}

// Notifications send words and hear them.
type Notifications struct {
	redis *redis.Client
	log   *slog.Logger
	queue chan word
}

// New makes nudges over a Redis. Nothing is sent or heard until Run.
func New(client *redis.Client, log *slog.Logger) *Notifications {
	return &Notifications{redis: client, log: log, queue: make(chan word, waiting)}
}

// Send passes a word on to all replicas. It never waits: a word for which there is no room is lost.
func (n *Notifications) Send(learnerID string, sequence int64) {
	select {
	case n.queue <- word{learnerID, sequence}:
	default:
	}
}

// Run sends and hears until ctx ends; what waits to be sent then still is. heard is given each
// word that arrives, also this replica's own. live is told true when every word that is sent from
// now on arrives, false when that is over.
func (n *Notifications) Run(ctx context.Context, live func(bool), heard func(learnerID string, sequence int64)) {
	var both sync.WaitGroup
	both.Go(func() { n.sendAll(ctx) })
	both.Go(func() {
		for ctx.Err() == nil {
			err := n.listen(ctx, live, heard)
			live(false)
			if ctx.Err() == nil {
				n.redis.Ping(ctx) // a service without traffic would not notice otherwise
				n.log.DebugContext(ctx, "no nudges are heard", "redis", n.redis.String(), "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // jitter is no secret
			}
		}
	})
	both.Wait()
}

// sendAll sends words as they come, those of one moment together. Words that Redis does not take
// wait: on a cluster the connections of those who hear may stand while others break.
func (n *Notifications) sendAll(ctx context.Context) {
	sending := context.WithoutCancel(ctx) // Redis has a timeout of its own
	newest := map[string]int64{}
	for {
		n.gather(newest)
		if len(newest) == 0 {
			select {
			case w := <-n.queue:
				newest[w.learnerID] = w.sequence
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
			return // Redis is away, and they are hints
		case <-time.After(pause):
		}
	}
}

// gather takes the newest words out of the queue, without waiting for any.
func (n *Notifications) gather(newest map[string]int64) {
	for len(newest) < waiting {
		select {
		case w := <-n.queue:
			newest[w.learnerID] = max(newest[w.learnerID], w.sequence)
		default:
			return
		}
	}
}

// send tells whether Redis took some of the words, and those it keeps no longer. Everybody hears
// every channel: one begins at a node that answers, if any does.
func (n *Notifications) send(ctx context.Context, newest map[string]int64) bool {
	var ids, words []string
	for learnerID, sequence := range newest {
		if len(ids) == together {
			break
		}
		ids = append(ids, learnerID)
		words = append(words, learnerID+" "+strconv.FormatInt(sequence, 10))
	}
	for range attempts {
		channel := channelName(rand.N[uint32](channels))
		if n.redis.Publish(ctx, channel, words...) == nil {
			for _, learnerID := range ids {
				delete(newest, learnerID)
			}
			return true
		}
	}
	return false
}

// listen hears words on one connection, until it breaks or ctx ends. On a cluster that is to any
// node, since all pass on everything.
func (n *Notifications) listen(ctx context.Context, live func(bool), heard func(string, int64)) error {
	sub := n.redis.Subscribe(ctx, channelNames()...)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	confirmed, asked := 0, false
	for {
		message, err := sub.ReceiveTimeout(ctx, quiet)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !asked {
			asked = true
			err = sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		asked = false
		switch m := message.(type) {
		case *goredis.Subscription:
			if confirmed++; confirmed == channels {
				live(true)
			}
		case *goredis.Message:
			if w, ok := parse(m.Payload); ok {
				heard(w.learnerID, w.sequence)
			}
		}
	}
}

// parse reads a word; others may write into our channels, so it is looked at closely.
func parse(text string) (word, bool) {
	id, number, _ := strings.Cut(text, " ")
	sequence, err := strconv.ParseInt(number, 10, 64)
	return word{id, sequence}, err == nil && sequence > 0 && len(id) == 36 && uuid.Validate(id) == nil
}

func channelName(i uint32) string { return fmt.Sprintf("preceptor:log:%02d", i) }

// channelNames are all channels, beginning anywhere: a cluster is listened to at the node that the
// first one begins at.
func channelNames() []string {
	names := make([]string, channels)
	first := rand.N[uint32](channels)
	for i := range names {
		names[i] = channelName((first + uint32(i)) % channels)
	}
	return names
}
