package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
)

// ear is a stream of the learner's log that a device listens to.
type ear struct {
	p      *device
	cancel context.CancelFunc
	ended  chan struct{}
	// grew has something in it when an entry came that was not looked at yet.
	grew chan struct{}
	// next is the sequence that must come next; 0: any.
	next int64
	// paged is how far the device read by pages once a stream from now on was open; 0: it did not.
	paged atomic.Int64
	// lost means that the stream was opened where it cannot go on, so that a reset must come first.
	lost bool
}

// How a device opens its stream, beside going on from the end of its copy, which is any other number.
const (
	fromNow = iota + 1
	fromFar
	fromNonsense
)

// listen opens the stream anew.
func (p *device) listen(how int) {
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
func (p *device) hangUp() {
	if e := p.ear; e != nil {
		e.cancel()
		<-e.ended
		p.ear = nil
	}
}

// hear takes one event of the stream, and reports whether to go on.
func (e *ear) hear(sent serverSent) bool {
	s := e.p.s
	var entry struct {
		Sequence int64           `json:"sequence,string"`
		Entry    json.RawMessage `json:"entry"`
	}
	if sent.raw == "" {
		return true
	}
	if err := json.Unmarshal([]byte(sent.raw), &entry); err != nil {
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
			e.next = entry.Sequence + 1
		}
		e.p.forgetEntries()
		return true
	case "":
	default:
		s.faultf("a stream brings %s: %s", sent.name, sent.raw)
		return false
	}
	if e.lost || sent.id != fmt.Sprint(entry.Sequence) || (e.next != 0 && entry.Sequence != e.next) {
		s.faultf("a stream brings entry %d with id %s, expected was %d (reset due: %v)", entry.Sequence, sent.id, e.next, e.lost)
	}
	if paged := e.paged.Load(); e.next == 0 && paged > 0 && entry.Sequence > paged+1 {
		s.faultf("a stream that was open when page %d was read begins with entry %d", paged, entry.Sequence)
	}
	e.next = entry.Sequence + 1
	s.total.add("entries received live", 1)
	s.book.receivedLive(entry.Sequence, compact(entry.Entry))
	e.p.keep(entry.Sequence, entry.Entry)
	select {
	case e.grew <- struct{}{}:
	default:
	}
	return true
}

// forgetEntries loses the copy of the log, as a reset asks for.
func (p *device) forgetEntries() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = nil
}

// reaches waits until the device's copy reaches an entry.
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
