package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
)

// ear is a stream of the learner's log that a phone listens to.
type ear struct {
	p      *phone
	cancel context.CancelFunc
	ended  chan struct{}
	// grew has something in it when an entry came that nobody has looked for.
	grew chan struct{}
	// next is the sequence that must come next; 0: any.
	next int64
	// paged is how far the phone read by pages once a stream from now on was open; 0: it did not.
	paged atomic.Int64
	// lost tells that the stream was opened where it cannot go on, so that a reset must come first.
	lost bool
}

// How a phone opens its stream, beside going on from the end of its copy, which is any other number.
const (
	fromNow = iota + 1
	fromFar
	fromNonsense
)

// listen opens the stream anew.
func (p *phone) listen(how int) {
	p.hangUp()
	p.mu.Lock()
	have := int64(len(p.entries))
	p.mu.Unlock()
	e := &ear{p: p, ended: make(chan struct{}), grew: make(chan struct{}, 1)}
	from := ""
	switch how {
	case fromNow:
	case fromFar:
		from, e.lost = strconv.FormatInt(have+1_000_000, 10), true
	case fromNonsense:
		from, e.lost = "page 3", true
	default:
		from, e.next = strconv.FormatInt(have, 10), have+1
	}
	p.s.notef("%s: listens from %q", p.name, from)
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.s.base+"/v1/learners/me/progress:watch", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.s.token)
	req.Header.Set("Accept", "text/event-stream")
	if from != "" {
		req.Header.Set("Last-Event-ID", from)
	}
	resp, err := p.http.Do(req) //nolint:bodyclose // closed by the goroutine that reads it
	if err != nil {
		cancel()
		return
	}
	if resp.StatusCode != http.StatusOK {
		p.s.faultf("the stream is answered %s", resp.Status)
	}
	p.ear = e
	go func() {
		defer close(e.ended)
		defer resp.Body.Close()
		readServerSent(resp.Body, e.hear)
	}()
	if how == fromNow && p.turnPages(100) {
		// The stream was open before the last page was read, so nothing may fall between them.
		p.mu.Lock()
		e.paged.Store(int64(len(p.entries)))
		p.mu.Unlock()
	}
}

// hangUp ends the stream, if there is one.
func (p *phone) hangUp() {
	if e := p.ear; e != nil {
		e.cancel()
		<-e.ended
		p.ear = nil
	}
}

// hear takes one event of the stream, and answers whether to go on.
func (e *ear) hear(sent serverSent) bool {
	s := e.p.s
	var told struct {
		Sequence int64           `json:"sequence,string"`
		Entry    json.RawMessage `json:"entry"`
	}
	if sent.raw == "" {
		return true
	}
	if err := json.Unmarshal([]byte(sent.raw), &told); err != nil {
		s.faultf("a stream brings %q: %v", sent.raw, err)
		return false
	}
	switch sent.name {
	case "reset":
		if !e.lost {
			s.faultf("a stream is reset, and had not lost its place: %s", sent.raw)
		}
		s.total.add("resets", 1)
		e.lost, e.next = false, 0
		if sent.id != "" {
			e.next = told.Sequence + 1
		}
		e.p.forgetEntries()
		return true
	case "":
	default:
		s.faultf("a stream brings %s: %s", sent.name, sent.raw)
		return false
	}
	if e.lost || sent.id != fmt.Sprint(told.Sequence) || (e.next != 0 && told.Sequence != e.next) {
		s.faultf("a stream brings entry %d with id %s, expected was %d (reset due: %v)", told.Sequence, sent.id, e.next, e.lost)
	}
	if paged := e.paged.Load(); e.next == 0 && paged > 0 && told.Sequence > paged+1 {
		s.faultf("a stream that was open when page %d was read begins with entry %d", paged, told.Sequence)
	}
	e.next = told.Sequence + 1
	s.total.add("entries heard live", 1)
	s.book.heardLive(told.Sequence, compact(told.Entry))
	e.p.keep(told.Sequence, told.Entry)
	select {
	case e.grew <- struct{}{}:
	default:
	}
	return true
}

// forgetEntries loses the copy of the log, as a reset asks for.
func (p *phone) forgetEntries() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = nil
}

// reaches waits until the phone's copy reaches an entry.
func (e *ear) reaches(ctx context.Context, sequence int64) bool {
	for {
		e.p.mu.Lock()
		have := int64(len(e.p.entries))
		e.p.mu.Unlock()
		if have >= sequence {
			return true
		}
		select {
		case <-e.grew:
		case <-e.ended:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
