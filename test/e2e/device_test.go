package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// device is one of a learner's devices, as an app for it would be written: what is done goes
// into an outbox and stays there until the server has responded, and a copy of the log is
// kept up to date by pages and by a stream.
type device struct {
	s       *story
	name    string
	network *lossyNetwork
	http    *http.Client
	// script decides what the device does; luck, what depends on how the network behaved.
	script *rand.Rand
	luck   *rand.Rand
	mind   *inventor
	// clock is what the device believes; it runs by drift faster or slower than time.
	clock     time.Time
	drift     float64
	offline   atomic.Bool
	enrollKey string
	enrolled  string
	// documents are the progress documents that it has read, by their paths.
	documents map[string]document

	mu     sync.Mutex
	outbox []*sentEvent
	// stored are the events that it knows to be stored; rejected, why others are not.
	stored   []*sentEvent
	rejected map[*sentEvent]string
	// entries are its copy of the log: entry n at n-1.
	entries []string
	// known is the last sequence that it knows to exist.
	known int64
	ear   *ear
}

// document is a progress document as it was last read.
type document struct {
	etag string
	asOf int64
}

func newDevice(s *story, name string) *device {
	p := &device{
		s: s, name: name, network: newLossyNetwork(s, name), script: s.dice("script of " + name), luck: s.dice("luck of " + name),
		documents: map[string]document{}, rejected: map[*sentEvent]string{},
	}
	p.http = &http.Client{Transport: p}
	p.mind = &inventor{course: s.course, modules: s.takenUp(), dice: s.dice("mind of " + name), ids: s.source("ids of " + name), device: name}
	p.mind.diligent = 3 + s.dice("diligence").IntN(7)
	p.drift = []float64{1, 1, 0.97, 1.25, 0.5}[p.script.IntN(5)]
	p.setClock()
	return p
}

// RoundTrip goes through the network, while there is any.
func (p *device) RoundTrip(req *http.Request) (*http.Response, error) {
	if p.offline.Load() {
		return nil, errOffline
	}
	return p.network.RoundTrip(req)
}

// setClock sets the device's clock: right, or wrong by minutes to years.
func (p *device) setClock() {
	const day = 24 * time.Hour
	skews := []time.Duration{
		0, 0, 0, 20 * time.Second, 4*time.Minute + 50*time.Second, 5*time.Minute + 10*time.Second, 3 * time.Hour, 26 * time.Hour, 400 * day, 40000 * day,
		-20 * time.Second, -3 * time.Minute, -47 * time.Minute, -26 * time.Hour, -30 * day, -400 * day, -9 * 365 * day,
	}
	skew := skews[p.script.IntN(len(skews))]
	p.clock = testenv.Now().Add(skew)
	p.s.notef("%s: the clock is off by %v", p.name, skew)
}

// now is the device's time; some of it passes with each look.
func (p *device) now() time.Time {
	p.clock = p.clock.Add(time.Duration(p.drift * float64(p.script.IntN(5000)) * float64(time.Millisecond)))
	return p.clock.UTC().Truncate(time.Microsecond)
}

// live carries out the script.
func (p *device) live() {
	if p.script.IntN(20) == 0 {
		p.learn(200 + p.script.IntN(300)) // a long flight
	}
	if p.script.IntN(4) == 0 {
		p.enroll()
	}
	for range 25 + p.script.IntN(25) {
		switch n := p.script.IntN(100); {
		case n < 30:
			p.learn(1 + p.script.IntN(6))
		case n < 52:
			p.send()
		case n < 60:
			p.turnPages(1 + p.script.IntN(3))
		case n < 68:
			p.read(p.s.course.documents[p.script.IntN(len(p.s.course.documents))])
		case n < 78:
			p.listen(p.script.IntN(8))
		case n < 83:
			p.toggle()
		case n < 85:
			p.enroll()
		case n < 88:
			p.restore(p.s.devices[p.script.IntN(len(p.s.devices))])
		case n < 90:
			p.setClock()
		case n < 91:
			p.forget()
		default:
			p.s.admin.act(p.script.IntN(100), p.script.Uint64())
		}
	}
}

// learn puts events into the outbox.
func (p *device) learn(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range n {
		var e *sentEvent
		if p.script.IntN(9) == 0 {
			var stored *sentEvent
			if len(p.stored) > 0 {
				stored = p.stored[p.luck.IntN(len(p.stored))]
			}
			e = p.mind.mistaken(p.now(), stored)
		} else {
			e = p.mind.learned(p.now())
		}
		p.outbox = append(p.outbox, e)
	}
}

// cut chooses what to send: some of the outbox in some order, at times an event twice, or one that is
// stored already.
func (p *device) cut() []*sentEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.outbox) == 0 {
		return nil
	}
	batch := slices.Clone(p.outbox)
	if p.luck.IntN(3) == 0 {
		p.luck.Shuffle(len(batch), func(i, k int) { batch[i], batch[k] = batch[k], batch[i] })
	}
	most := []int{1, 4, 12, 480}[p.luck.IntN(4)]
	batch = batch[:1+p.luck.IntN(min(len(batch), most))]
	if p.luck.IntN(8) == 0 {
		batch = append(batch, batch[p.luck.IntN(len(batch))])
	}
	if p.luck.IntN(8) == 0 && len(p.stored) > 0 {
		batch = append(batch, p.stored[p.luck.IntN(len(p.stored))])
	}
	return batch
}

// send sends a batch, and reports whether there was a response.
func (p *device) send() bool {
	batch := p.cut()
	if batch == nil {
		return true
	}
	r, err := p.post(batch)
	if err != nil || r.status != http.StatusOK {
		p.s.notef("%s: sent %d: %v %v", p.name, len(batch), err, r)
		return err == nil && p.s.tolerable(r)
	}
	var decoded recorded
	if err := json.Unmarshal(r.body, &decoded); err != nil || len(decoded.Results) != len(batch) {
		p.s.faultf("%s sent %d events, and got: %s", p.name, len(batch), r)
		return false
	}
	p.s.notef("%s: sent %d, as of %d", p.name, len(batch), decoded.AsOf)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = max(p.known, decoded.AsOf)
	for i, result := range decoded.Results {
		p.learnFate(batch[i], result)
	}
	return true
}

func (p *device) post(batch []*sentEvent) (reply, error) {
	return p.call(http.MethodPost, "/v1/learners/me/events:batch", batchBody(batch, func() int { return p.luck.IntN(spellings) }), batch)
}

func (p *device) call(method, path, body string, batch []*sentEvent, headers ...string) (reply, error) {
	return p.s.call(p.http, p.s.token, method, path, body, batch, headers...)
}

// learnFate does what a device does with the result of one event. The device must be locked.
func (p *device) learnFate(e *sentEvent, r recordedResult) {
	switch r.Status {
	case "RETRY":
		return
	case "REJECTED":
		p.rejected[e] = r.Reason
	default:
		p.known = max(p.known, r.Sequence)
		if !slices.Contains(p.stored, e) {
			p.stored = append(p.stored, e)
		}
	}
	p.outbox = slices.DeleteFunc(p.outbox, func(o *sentEvent) bool { return o == e })
}

// asOfHeader is the header of a module's progress with the last entry of the log that is counted.
const asOfHeader = "Preceptor-As-Of-Sequence"

// logPage is a page of the log.
type logPage struct {
	Events []json.RawMessage `json:"events"`
	Next   int64             `json:"nextAfterSequence,string"`
	AsOf   int64             `json:"asOfSequence,string"`
}

// turnPages reads up to n pages of the log after what it has, and reports whether it knows all.
func (p *device) turnPages(n int) bool {
	for range n {
		p.mu.Lock()
		after := int64(len(p.entries))
		p.mu.Unlock()
		size := 1 + p.luck.IntN(9)
		r, err := p.call(http.MethodGet, fmt.Sprintf("/v1/learners/me/events?afterSequence=%d&pageSize=%d", after, size), "", nil)
		if err != nil {
			return false
		}
		var page logPage
		if err := json.Unmarshal(r.body, &page); r.status != http.StatusOK || err != nil {
			p.s.tolerable(r)
			return false
		}
		if want := min(page.AsOf, after+int64(size)); len(page.Events) > size || page.Next != want || after+int64(len(page.Events)) != want {
			p.s.faultf("a page of %d after %d has %d entries, goes on after %d, and is as of %d", size, after, len(page.Events), page.Next, page.AsOf)
			return false
		}
		for i, raw := range page.Events {
			p.keep(after+1+int64(i), raw)
		}
		if page.Next == page.AsOf {
			return true
		}
	}
	return false
}

// keep puts an entry into the device's copy. One that is there already must be the same; one that
// comes too early is left for the pages.
func (p *device) keep(sequence int64, raw []byte) {
	text := compact(raw)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = max(p.known, sequence)
	switch have := int64(len(p.entries)); {
	case sequence == have+1:
		p.entries = append(p.entries, text)
	case sequence <= have && p.entries[sequence-1] != text:
		p.s.faultf("%s reads two entries %d:\n%s\n%s", p.name, sequence, p.entries[sequence-1], text)
	}
}

func compact(raw []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return string(raw)
	}
	return b.String()
}

// read reads a progress document, which must hold all that the device knows to have happened.
func (p *device) read(path string) {
	p.mu.Lock()
	known := p.known
	p.mu.Unlock()
	had := p.documents[path]
	var headers []string
	if had.etag != "" {
		headers = []string{"If-None-Match", had.etag}
	}
	r, err := p.call(http.MethodGet, path, "", nil, headers...)
	switch {
	case err != nil:
		return
	case r.status == http.StatusNotModified:
	case r.status == http.StatusNotFound && strings.Contains(string(r.body), "NOT_ENROLLED"):
		return
	case r.status != http.StatusOK:
		p.s.tolerable(r)
		return
	default:
		var body struct {
			AsOf int64 `json:"asOfSequence,string"`
		}
		if err := json.Unmarshal(r.body, &body); err != nil {
			p.s.faultf("%s is answered %s", path, r)
			return
		}
		had = document{r.header.Get("ETag"), body.AsOf}
		p.documents[path] = had
	}
	if asOf := r.header.Get(asOfHeader); asOf != "" { // the body does not say it
		_, _ = fmt.Sscan(asOf, &had.asOf)
	}
	if had.asOf < known {
		p.s.faultf("%s is as of %d (status %d), and %s knew of %d", path, had.asOf, r.status, p.name, known)
	}
}

// toggle goes offline, which ends the stream too, or comes back.
func (p *device) toggle() {
	if offline := !p.offline.Load(); offline {
		p.offline.Store(true)
		p.hangUp()
	} else {
		p.offline.Store(false)
	}
	p.s.notef("%s: offline is %v", p.name, p.offline.Load())
}

// enroll enrolls the learner, with one key for as long as there was no response, and reports whether
// they are enrolled.
func (p *device) enroll() bool {
	if p.enrollKey == "" {
		p.enrollKey = p.mind.newID()
	}
	r, err := p.call(http.MethodPost, "/v1/learners/me/enrollments", fmt.Sprintf(`{"pathId":%q}`, p.s.course.path), nil, "Idempotency-Key", p.enrollKey)
	p.s.notef("%s: enrolls: %v %v", p.name, err, r)
	switch {
	case err != nil || r.status == http.StatusConflict && strings.Contains(string(r.body), "IDEMPOTENCY_KEY_IN_FLIGHT"):
		return false
	case r.status == http.StatusCreated:
		var made struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(r.body, &made); err != nil || p.enrolled != "" && p.enrolled != made.ID {
			p.s.faultf("%s was enrolled as %s, and now gets %s", p.name, p.enrolled, r)
		}
		p.enrolled = made.ID
		return true
	case r.status == http.StatusConflict && strings.Contains(string(r.body), "ALREADY_ENROLLED"):
		return true
	}
	p.s.tolerable(r)
	return false
}

// restore sets the device up from a backup of another one, or of its own: what waited there, and
// something that was sent from there long ago, now waits here too.
func (p *device) restore(other *device) {
	other.mu.Lock()
	backup := slices.Clone(other.outbox)
	if n := len(other.stored); n > 0 {
		backup = append(backup, other.stored[max(0, n-6):]...)
	}
	other.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range backup {
		if !slices.Contains(p.outbox, e) {
			p.outbox = append(p.outbox, e)
		}
	}
	p.s.notef("%s: restored a backup of %s, %d events wait", p.name, other.name, len(p.outbox))
}

// forget loses the copy of the log.
func (p *device) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = nil
	clear(p.documents)
}

// flush sends until nothing is left.
func (p *device) flush() {
	for give := testenv.Now().Add(patience); ; {
		p.mu.Lock()
		left := len(p.outbox)
		p.mu.Unlock()
		if left == 0 {
			return
		}
		if !p.send() || testenv.Now().After(give) {
			p.s.faultf("%s cannot send %d events", p.name, left)
			return
		}
	}
}

// catchUp reads the log up to head: by pages, or by a stream.
func (p *device) catchUp(head int64) {
	if p.luck.IntN(2) == 0 {
		for give := testenv.Now().Add(patience); !p.turnPages(100); {
			if testenv.Now().After(give) {
				p.s.faultf("%s cannot read the log", p.name)
				return
			}
		}
		return
	}
	p.listen(0)
	defer p.hangUp()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if e := p.ear; e == nil || !e.reaches(ctx, head) {
		p.s.faultf("%s did not get entry %d by the stream", p.name, head)
	}
}
