package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// sentEvent is an event as its sender knows it, with what the server must say to it.
type sentEvent struct {
	id, module, unit, verb, device, reason, voids string
	// version is 0 where the event names none.
	version         int
	score, progress *float64
	occurred        time.Time
	// expect is the reason for which it must be rejected; "" where it must be stored.
	expect string
	admin  bool
}

// spellings are ways to write one event in JSON. Whichever is sent, it is the same event.
const spellings = 3

// spell writes the event: as a device does; with other names, zones, types and escapes; or
// with members in another order and all that is empty named.
func (e *sentEvent) spell(way int) string {
	members := [][2]any{{"eventId", e.id}, {"moduleId", e.module}, {"unitId", e.unit}, {"verb", e.verb}, {"deviceId", e.device}}
	at := e.occurred.UTC()
	switch way {
	case 1:
		members[0][1] = strings.ToUpper(e.id)
		at = at.In(time.FixedZone("", 5*3600+1800))
	case 2:
		members[0], members[3] = members[3], members[0]
	}
	members = append(members, [2]any{"occurredAt", at.Format(time.RFC3339Nano)})
	if e.version != 0 {
		var version any = e.version
		if way == 1 {
			version = fmt.Sprint(e.version)
		}
		members = append(members, [2]any{"moduleVersion", version})
	}
	if e.score != nil {
		members = append(members, [2]any{"score", *e.score})
	}
	if e.progress != nil {
		members = append(members, [2]any{"progress", *e.progress})
	}
	if e.reason != "" || way == 2 {
		members = append(members, [2]any{"reason", e.reason})
	}
	if e.voids != "" || way == 2 {
		members = append(members, [2]any{"voidsEventId", e.voids})
	}
	return spellObject(members, way == 1)
}

// spellObject writes members in their order. Strangely, with blanks, snake_case and a needless escape.
func spellObject(members [][2]any, strangely bool) string {
	var b strings.Builder
	for i, m := range members {
		name, ok := m[0].(string)
		value, err := json.Marshal(m[1])
		if !ok || err != nil {
			panic(fmt.Sprint("an event that is no JSON: ", m))
		}
		if i > 0 {
			b.WriteByte(',')
		}
		if strangely {
			for _, upper := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
				name = strings.ReplaceAll(name, string(upper), "_"+strings.ToLower(string(upper)))
			}
			if text, ok := m[1].(string); ok && text != "" && name == "unit_id" {
				value = fmt.Appendf(nil, `"\u%04x%s"`, text[0], text[1:])
			}
			fmt.Fprintf(&b, "\n  %q : %s", name, value)
			continue
		}
		fmt.Fprintf(&b, "%q:%s", name, value)
	}
	return "{" + b.String() + "}"
}

// inventor makes up what learners do.
type inventor struct {
	course *deviceCourse
	// modules are those that the learner takes up at all.
	modules []*courseModule
	dice    *rand.Rand
	ids     *rand.ChaCha8
	device  string
	// diligent is how many of ten events finish something, whatever else they do.
	diligent int
}

func (v *inventor) newID() string {
	id, err := uuid.NewRandomFromReader(v.ids)
	if err != nil {
		panic(err)
	}
	return id.String()
}

func (v *inventor) share(low, high int) *float64 {
	return new(float64(low+v.dice.IntN(high-low+1)) / 100)
}

// learned is something that the learner did at a time by the device's clock, to be stored.
func (v *inventor) learned(at time.Time) *sentEvent {
	m := v.modules[v.dice.IntN(len(v.modules))]
	n := 1 + v.dice.IntN(len(m.versions))
	u := m.versions[n-1].units[v.dice.IntN(len(m.versions[n-1].units))]
	e := &sentEvent{id: v.newID(), module: m.id, unit: u.id, device: v.device, occurred: at}
	if v.dice.IntN(2) == 0 {
		e.version = n
	}
	if v.dice.IntN(12) < 1+2*(len(m.versions)-1) {
		// The edge of a version: just before it was published, just then, just after.
		e.occurred = m.versions[len(m.versions)-1].published.Add(time.Duration(v.dice.IntN(3)-1) * time.Microsecond)
	}
	u = *m.versions[v.course.resolve(e)-1].unit(u.id)
	doing := v.dice.IntN(10)
	if v.dice.IntN(10) < v.diligent {
		doing = 3 + v.dice.IntN(6)
	}
	switch pass := max(1, int(100*u.mastery)); doing {
	case 0:
		e.verb = "INITIALIZED"
	case 1, 2:
		e.verb, e.progress = "PROGRESSED", v.share(0, 100)
	case 3, 4, 5:
		e.verb = "COMPLETED"
		if v.dice.IntN(3) == 0 {
			e.score = v.share(0, 100)
		}
	case 6, 7, 8:
		e.verb = "PASSED"
		if v.dice.IntN(4) != 0 {
			e.score = v.share(pass, 100)
		}
	default:
		e.verb, e.score = "FAILED", v.share(0, pass-1)
	}
	return e
}

// mistaken is an event that must be rejected. stored is one that the log has, or nil.
func (v *inventor) mistaken(at time.Time, stored *sentEvent) *sentEvent {
	e := v.learned(at)
	e.verb, e.score, e.progress, e.version = "COMPLETED", nil, nil, 0
	switch v.dice.IntN(10) {
	case 0:
		e.module, e.expect = "phones-nowhere", "UNKNOWN_MODULE"
	case 1:
		e.version, e.expect = 7, "UNKNOWN_VERSION"
	case 2:
		e.unit, e.expect = "nothing", "UNKNOWN_UNIT"
	case 3: // which only the other version has
		e.module, e.unit, e.version, e.expect = "phones-minor", "added", 1, "UNKNOWN_UNIT"
	case 4:
		e.module, e.unit, e.verb, e.score, e.expect = "phones-quiz", "quiz", "PASSED", v.share(0, 79), "BELOW_MASTERY_SCORE"
	case 5:
		e.verb, e.reason, e.expect = "WAIVED", "I know it all.", "FORBIDDEN_VERB"
	case 6:
		e.verb, e.expect = "CHEATED", "MALFORMED"
	case 7:
		e.score, e.expect = new(1.5), "MALFORMED"
	case 8: // the clock of a battery that ran empty
		e.occurred, e.expect = time.Unix(0, 0), "MALFORMED"
	default:
		if stored == nil {
			e.unit, e.expect = "", "MALFORMED"
			break
		}
		*e = *stored
		e.device, e.expect = e.device+"-again", "EVENT_ID_REUSED"
	}
	return e
}

// ledger holds what the server responded, including what never reached the devices.
type ledger struct {
	s  *story
	mu sync.Mutex
	// fate is what became of each event that was sent; order is that in which they were first sent.
	fate  map[*sentEvent]*fate
	order []*sentEvent
	// at is the event of a sequence; live is the entry of a sequence, as some stream brought it.
	at   map[int64]*sentEvent
	live map[int64]string
}

// fate is what became of an event.
type fate struct {
	sequence int64
	reason   string
	// accepted is how often it was ACCEPTED; lost how many responses nothing received.
	accepted, lost int
}

func newLedger(s *story) *ledger {
	return &ledger{s: s, fate: map[*sentEvent]*fate{}, at: map[int64]*sentEvent{}, live: map[int64]string{}}
}

// of is the fate of an event. The ledger must be locked.
func (l *ledger) of(e *sentEvent) *fate {
	f := l.fate[e]
	if f == nil {
		f = &fate{}
		l.fate[e] = f
		l.order = append(l.order, e)
	}
	return f
}

// lost notes that the server may have responded, which no device will know.
func (l *ledger) lost(batch []*sentEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range batch {
		l.of(e).lost++
	}
}

// recorded is the response to a batch.
type recorded struct {
	Results []recordedResult `json:"results"`
	Awards  []struct {
		MilestoneID string `json:"milestoneId"`
	} `json:"awards"`
	AsOf int64 `json:"asOfSequence,string"`
}

type recordedResult struct {
	EventID     string `json:"eventId"`
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	Description string `json:"description,omitempty"`
	Sequence    int64  `json:"sequence,string,omitempty"`
}

// received checks a response of the server, whether or not it will reach the device.
func (l *ledger) received(batch []*sentEvent, body []byte) {
	var a recorded
	if err := json.Unmarshal(body, &a); err != nil || len(a.Results) != len(batch) {
		l.s.faultf("%d events were answered (%v): %s", len(batch), err, body)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := int64(0)
	for i, r := range a.Results {
		if wrong := l.judge(batch[i], r); wrong != "" {
			l.s.faultf("%s: %s was answered %+v", wrong, batch[i].spell(0), r)
		}
		if r.Status == "ACCEPTED" && r.Sequence <= last {
			l.s.faultf("event %d of a batch was stored as %d, one before it as %d", i, r.Sequence, last)
		}
		if r.Status == "ACCEPTED" {
			last = r.Sequence
		}
		if r.Sequence > a.AsOf {
			l.s.faultf("a response as of %d has sequence %d", a.AsOf, r.Sequence)
		}
	}
}

// judge notes the result of one event, and returns what is wrong with it.
func (l *ledger) judge(e *sentEvent, r recordedResult) (wrong string) {
	f := l.of(e)
	l.s.total.add("answered "+r.Status, 1)
	if !strings.EqualFold(r.EventID, e.id) {
		return "another event's result"
	}
	switch r.Status {
	case "ACCEPTED", "DUPLICATE":
		if e.expect != "" {
			return "not rejected for " + e.expect
		}
		if r.Sequence <= 0 || (f.sequence != 0 && f.sequence != r.Sequence) {
			return fmt.Sprintf("stored before as %d", f.sequence)
		}
		if other := l.at[r.Sequence]; other != nil && other != e {
			return "the sequence is that of " + other.id
		}
		f.sequence, l.at[r.Sequence] = r.Sequence, e
		if r.Status == "ACCEPTED" {
			if f.accepted++; f.accepted > 1 {
				return "accepted twice"
			}
		}
	case "REJECTED":
		if r.Reason != e.expect {
			return fmt.Sprintf("rejected, not for %q", e.expect)
		}
		f.reason = r.Reason
	case "RETRY":
		if r.Reason != "LEARNER_BUSY" {
			return "there is nothing to wait for"
		}
		l.s.total.add("busy", 1)
	default:
		return "no such status"
	}
	return ""
}

// receivedLive notes an entry that a stream brought, which must be the same on every stream.
func (l *ledger) receivedLive(sequence int64, entry string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if had, ok := l.live[sequence]; ok && had != entry {
		l.s.faultf("two streams bring two entries %d:\n%s\n%s", sequence, had, entry)
	}
	l.live[sequence] = entry
}

// stored are the events that were acknowledged as stored, in the order of their sequences.
func (l *ledger) stored() []*sentEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*sentEvent
	for sequence, found := int64(1), 0; found < len(l.at); sequence++ {
		if e := l.at[sequence]; e != nil {
			out, found = append(out, e), found+1
		}
	}
	return out
}
