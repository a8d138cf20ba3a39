package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// deviceAdmin waives and voids, through a network as bad as the learner's.
type deviceAdmin struct {
	s    *story
	http *http.Client
	mind *inventor
	luck *rand.Rand

	mu     sync.Mutex
	voided map[string]bool
}

func newDeviceAdmin(s *story) *deviceAdmin {
	return &deviceAdmin{
		s: s, http: &http.Client{Transport: newLossyNetwork(s, "admin")}, luck: s.dice("luck of admin"), voided: map[string]bool{},
		mind: &inventor{course: s.course, dice: s.dice("mind of admin"), ids: s.source("ids of admin"), device: "desk"},
	}
}

// act waives or voids something: percentage decides which, and pick of what.
func (a *deviceAdmin) act(percentage int, pick uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := &sentEvent{id: a.mind.newID(), device: "desk", reason: "It is so.", admin: true, occurred: testenv.Now().UTC().Truncate(time.Microsecond)}
	if percentage < 40 {
		m := a.s.course.modules[pick%uint64(len(a.s.course.modules))]
		e.module, e.verb = m.id, "WAIVED"
		if percentage < 30 {
			units := m.versions[0].units
			e.unit = units[(pick/16)%uint64(len(units))].id
		}
	} else if !a.aim(e, percentage, pick) {
		return
	}
	a.deliver(e)
	a.s.notef("the admin: %s %s/%s%s, %q expected", e.verb, e.module, e.unit, e.voids, e.expect)
}

// aim makes the event void one of the log, or something that cannot be voided.
func (a *deviceAdmin) aim(e *sentEvent, percentage int, pick uint64) bool {
	e.verb = "VOIDED"
	if percentage < 44 {
		e.voids, e.expect = a.mind.newID(), "VOID_TARGET_UNKNOWN"
		return true
	}
	// Mostly one that something may rest on.
	var events, finishing []logEntry
	for _, entry := range a.s.log() {
		if entry.Event.ID != "" {
			events = append(events, entry)
		}
		if slices.Contains([]string{"COMPLETED", "PASSED", "WAIVED"}, entry.Event.Verb) && !a.voided[entry.Event.ID] {
			finishing = append(finishing, entry)
		}
	}
	if percentage < 90 && len(finishing) > 0 {
		events = finishing
	}
	if len(events) == 0 {
		return false
	}
	target := events[pick%uint64(len(events))].Event
	e.voids = target.ID
	switch {
	case target.Verb == "VOIDED":
		e.expect = "NOT_VOIDABLE"
	case a.voided[target.ID]:
		e.expect = "ALREADY_VOIDED"
	}
	a.voided[target.ID] = true
	return true
}

// deliver sends the event until there is a response.
func (a *deviceAdmin) deliver(e *sentEvent) {
	batch := []*sentEvent{e}
	for give := testenv.Now().Add(patience); testenv.Now().Before(give); {
		body := batchBody(batch, func() int { return a.luck.IntN(spellings) })
		r, err := a.s.call(a.http, a.s.adminToken, http.MethodPost, "/v1/learners/"+a.s.learner+"/events:batch", body, batch)
		if err == nil && r.status == http.StatusOK && !strings.Contains(string(r.body), `"RETRY"`) {
			return
		}
	}
	a.s.faultf("an admin's event is not taken: %s", e.spell(0))
}

// logEntry is what the checks want to know of an entry.
type logEntry struct {
	Sequence int64  `json:"sequence,string"`
	Type     string `json:"type"`
	Event    struct {
		ID       string    `json:"eventId"`
		Module   string    `json:"moduleId"`
		Version  int       `json:"moduleVersion"`
		Unit     string    `json:"unitId"`
		Verb     string    `json:"verb"`
		Occurred time.Time `json:"occurredAt"`
		Score    *float64  `json:"score"`
		Progress *float64  `json:"progress"`
	} `json:"event"`
	Received  time.Time `json:"receivedAt"`
	Effective time.Time `json:"effectiveAt"`
	Adjusted  bool      `json:"effectiveAtAdjusted"`

	text string
}

// log reads the whole log, as an admin, without faults.
func (s *story) log() []logEntry {
	var log []logEntry
	for after := int64(0); ; {
		r, err := s.call(s.wire, s.adminToken, http.MethodGet, fmt.Sprintf("/v1/learners/%s/events?pageSize=500&afterSequence=%d", s.learner, after), "", nil)
		var page logPage
		if err == nil {
			err = json.Unmarshal(r.body, &page)
		}
		if err != nil || r.status != http.StatusOK {
			s.faultf("the log cannot be read: %v %v", err, r)
			return log
		}
		for _, raw := range page.Events {
			entry := logEntry{text: compact(raw)}
			if err := json.Unmarshal(raw, &entry); err != nil {
				s.faultf("an entry cannot be read: %v: %s", err, raw)
			}
			log = append(log, entry)
		}
		if after = page.Next; after >= page.AsOf || len(page.Events) == 0 {
			return log
		}
	}
}

// head is the log's last sequence.
func (s *story) head() int64 { return int64(len(s.log())) }

// check compares what everybody knows in the end.
func (s *story) check() {
	log := s.log()
	s.total.add("log entries", len(log))
	events := s.checkLog(log)
	s.checkCopies(log)
	s.checkDevices()
	documents := s.checkDocuments(int64(len(log)))
	if len(s.broken) > 0 {
		return // what is compared below would only report it again
	}
	s.checkModel(documents, events)
	s.checkAgain(documents, s.checkAwards(documents, log, events))
	if again := s.log(); len(again) != len(log) {
		s.faultf("sending everything again wrote entries %d to %d", len(log)+1, len(again))
	}
}

// checkLog compares the log with what was acknowledged: all of it is there, once, in the place that
// was answered, and nothing else. It returns the events with their effective times.
func (s *story) checkLog(log []logEntry) map[int64]modelEvent {
	events, enrolled := map[int64]modelEvent{}, 0
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	for i, entry := range log {
		if entry.Sequence != int64(i+1) {
			s.faultf("entry %d of the log has sequence %d", i+1, entry.Sequence)
		}
		if live, ok := s.book.live[entry.Sequence]; ok && live != entry.text {
			s.faultf("a stream brought entry %d otherwise than the log has it:\n%s\n%s", i+1, live, entry.text)
		}
		e := s.book.at[entry.Sequence]
		switch {
		case entry.Type == "ENROLLED":
			enrolled++
		case entry.Type != "EVENT" || e == nil || e.id != entry.Event.ID:
			s.faultf("entry %d is not what was acknowledged, %+v: %s", i+1, e, entry.text)
		default:
			s.checkEntry(entry, e)
			events[entry.Sequence] = modelEvent{e, entry.Event.Version, entry.Effective, entry.Event.Occurred}
		}
	}
	if enrolled != 1 || len(events) != len(s.book.at) {
		s.faultf("the log has %d enrollments and %d events, of which %d were acknowledged", enrolled, len(events), len(s.book.at))
	}
	for sequence := range s.book.live {
		if sequence > int64(len(log)) {
			s.faultf("a stream brought entry %d, and the log ends at %d", sequence, len(log))
		}
	}
	for _, e := range s.book.order {
		f := s.book.fate[e]
		if (f.sequence != 0) != (e.expect == "") || f.reason != e.expect || (e.expect == "" && f.accepted == 0 && f.lost == 0) {
			s.faultf("what became of %s is %+v, expected was %q", e.spell(0), *f, e.expect)
		}
	}
	return events
}

// checkEntry compares an entry with the event as it was sent, and its times with the rules.
func (s *story) checkEntry(entry logEntry, e *sentEvent) {
	got := entry.Event
	same := func(a, b *float64) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
	if got.Verb != e.verb || !got.Occurred.Equal(e.occurred) || !same(got.Score, e.score) || !same(got.Progress, e.progress) {
		s.faultf("%s is stored as %s", e.spell(0), entry.text)
	}
	effective := e.occurred
	if effective.After(entry.Received) {
		effective = entry.Received
	}
	if e.verb != "VOIDED" {
		version := s.course.resolve(e)
		if got.Module != e.module || got.Unit != e.unit || got.Version != version {
			s.faultf("%s is stored as %s, version %d was expected", e.spell(0), entry.text, version)
		}
		if published := s.course.module(e.module).versions[version-1].published; !e.admin && effective.Before(published) {
			effective = published
		}
	}
	if !entry.Effective.Equal(effective) || entry.Adjusted != (effective.Sub(e.occurred).Abs() > 5*time.Minute) {
		s.faultf("%s counts from %v (adjusted: %v), expected was %v", e.spell(0), entry.Effective, entry.Adjusted, effective)
	}
}

// checkCopies compares each device's copy with the log.
func (s *story) checkCopies(log []logEntry) {
	for _, p := range s.devices {
		if len(p.entries) != len(log) {
			s.faultf("%s has %d of %d entries", p.name, len(p.entries), len(log))
			continue
		}
		for i, text := range p.entries {
			if text != log[i].text {
				s.faultf("entry %d of %s is\n%s\nand of the log\n%s", i+1, p.name, text, log[i].text)
			}
		}
	}
}

// checkDevices compares what each device learned of its events with the ledger.
func (s *story) checkDevices() {
	for _, p := range s.devices {
		for e, reason := range p.rejected {
			if reason != e.expect {
				s.faultf("%s remembers that %s was rejected for %s, not for %q", p.name, e.spell(0), reason, e.expect)
			}
		}
		for _, e := range p.stored {
			if s.book.fate[e].sequence == 0 {
				s.faultf("%s believes that %s is stored", p.name, e.spell(0))
			}
		}
	}
}

// checkDocuments lets every device read every progress document, and returns them by their paths.
func (s *story) checkDocuments(head int64) map[string]reply {
	documents := map[string]reply{}
	for _, path := range append(slices.Clone(s.course.documents), "/v1/learners/me/awards") {
		for i, p := range s.devices {
			r, err := p.call(http.MethodGet, path, "", nil)
			if err != nil || r.status != http.StatusOK {
				s.faultf("%s cannot read %s: %v %v", p.name, path, err, r)
				continue
			}
			if had := documents[path]; i > 0 && (string(had.body) != string(r.body) || had.header.Get("ETag") != r.header.Get("ETag")) {
				s.faultf("%s: %s reads\n%s %s\nand the first device\n%s %s", path, p.name, r.header.Get("ETag"), r.body, had.header.Get("ETag"), had.body)
			}
			var body struct {
				AsOf *int64 `json:"asOfSequence,string"`
			}
			said := r.header.Get(asOfHeader)
			if err := json.Unmarshal(r.body, &body); err != nil || body.AsOf != nil && *body.AsOf != head || said != "" && said != fmt.Sprint(head) {
				s.faultf("%s is not as of %d: %s", path, head, r.body)
			}
			documents[path] = r
		}
	}
	return documents
}

// readModule and readPath are what the checks want to know of the documents.
type readModule struct {
	Version   int      `json:"version"`
	State     string   `json:"state"`
	Percent   int      `json:"percent"`
	BlockedBy []string `json:"blockedBy"`
	Credit    string   `json:"credit"`
	Units     []struct {
		ID       string   `json:"unitId"`
		Done     bool     `json:"done"`
		Waived   bool     `json:"waived"`
		Score    *float64 `json:"score"`
		Progress *float64 `json:"progress"`
		Attempts int      `json:"attempts"`
	} `json:"units"`
	Cycles []struct {
		Completed time.Time `json:"completeTime"`
	} `json:"cycles"`
	Resume *struct {
		Unit string `json:"unitId"`
	} `json:"resume"`
}

type readPath struct {
	readTally

	State      string `json:"state"`
	Milestones []struct {
		readTally

		ID    string `json:"id"`
		Award *struct {
			ID string `json:"id"`
		} `json:"award"`
	} `json:"milestones"`
}

type readTally struct {
	Percent   int `json:"percent"`
	Completed int `json:"completedCount"`
	Required  int `json:"requiredCount"`
}

// counted are the events of each module that no void takes back, in the order in which they count.
func counted(events map[int64]modelEvent) map[string][]modelEvent {
	voided := map[string]bool{}
	for _, e := range events {
		if e.verb == "VOIDED" {
			voided[e.voids] = true
		}
	}
	out := map[string][]modelEvent{}
	for _, e := range events {
		if e.verb != "VOIDED" && !voided[e.id] {
			out[e.module] = append(out[e.module], e)
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b modelEvent) int {
			return cmp.Or(a.effective.Compare(b.effective), a.occurred.Compare(b.occurred), cmp.Compare(a.id, b.id))
		})
	}
	return out
}

// checkModel compares the documents with the model.
func (s *story) checkModel(documents map[string]reply, events map[int64]modelEvent) {
	of := counted(events)
	done := func(id string) bool { return s.course.module(id).summary(of[id]).state == "COMPLETED" }
	for _, m := range s.course.modules {
		path := "/v1/learners/me/modules/" + m.id + "/progress"
		var got readModule
		if err := json.Unmarshal(documents[path].body, &got); err != nil {
			s.faultf("%s: %v", path, err)
			continue
		}
		want := m.summary(of[m.id])
		if want.state == "AVAILABLE" && m.needs != "" && !done(m.needs) {
			want.state = "LOCKED"
		}
		if wrong := compareModule(got, want, of[m.id]); wrong != "" {
			s.faultf("%s: %s, by the model of %d events; the server has\n%s", m.id, wrong, len(of[m.id]), documents[path].body)
		}
		s.total.add("modules "+want.state, 1)
	}
	path := "/v1/learners/me/paths/" + s.course.path + "/progress"
	var got readPath
	if err := json.Unmarshal(documents[path].body, &got); err != nil {
		s.faultf("%s: %v", path, err)
		return
	}
	var all []courseGroup
	for i, ms := range s.course.milestones {
		all = append(all, ms.groups...)
		if want := tallyOf(ms.groups, done); i >= len(got.Milestones) || got.Milestones[i].ID != ms.id || got.Milestones[i].readTally != want {
			s.faultf("milestone %s is %+v by the model; the server has\n%s", ms.id, want, documents[path].body)
		}
	}
	want, state := tallyOf(all, done), "ACTIVE"
	if want.Percent == 100 {
		state = "COMPLETED"
		s.total.add("paths COMPLETED", 1)
	}
	if got.readTally != want || got.State != state {
		s.faultf("the path is %s, %+v by the model; the server has\n%s", state, want, documents[path].body)
	}
}

func tallyOf(groups []courseGroup, done func(string) bool) readTally {
	completed, required := tally(groups, done)
	return readTally{100 * completed / required, completed, required}
}

// compareModule returns in what a module's document differs from the model, "" where in nothing.
func compareModule(got readModule, want *modelModule, events []modelEvent) string {
	if got.State != want.state || got.Percent != want.percent || got.Version != want.version {
		return fmt.Sprintf("it is %s with %d %% on version %d", want.state, want.percent, want.version)
	}
	if (want.state == "LOCKED") != slices.Contains(got.BlockedBy, want.module.needs) {
		return fmt.Sprintf("it is blocked by %q when locked", want.module.needs)
	}
	if len(got.Cycles) != want.cycles {
		return fmt.Sprintf("%d events make no %d cycles", len(events), len(got.Cycles))
	}
	credit := ""
	if want.state == "COMPLETED" {
		credit = "WAIVER"
		if want.learned {
			credit = "LEARNED"
		}
		if at := completion(want.module, events); !got.Cycles[0].Completed.Equal(at) {
			return fmt.Sprintf("it was completed at %v", at)
		}
	}
	if got.Credit != credit {
		return fmt.Sprintf("its credit is %q", credit)
	}
	units := want.module.versions[want.version-1].units
	if len(got.Units) != len(units) {
		return fmt.Sprintf("it has %d units", len(units))
	}
	for i, u := range units {
		have := want.units[u.id]
		if have == nil {
			have = &modelUnit{score: -1, progress: -1}
		}
		g, done := got.Units[i], want.done(want.version, u.id)
		if g.ID != u.id || g.Done != done || g.Attempts != have.attempts || !isShare(g.Score, have.score) || !isShare(g.Progress, have.progress) ||
			g.Waived != (want.waived || have.waived) {
			return fmt.Sprintf("unit %s is done: %v, %+v", u.id, done, *have)
		}
	}
	var last string
	for _, e := range events {
		if e.unit != "" && e.verb != "WAIVED" {
			last = e.unit
		}
	}
	if (got.Resume != nil) != (last != "") || got.Resume != nil && got.Resume.Unit != last {
		return fmt.Sprintf("it is resumed at %q", last)
	}
	return ""
}

func isShare(got *float64, want float64) bool {
	return (got == nil) == (want < 0) && (got == nil || *got == want)
}

// completion is when the first events, in the order in which they count, completed the module.
func completion(m *courseModule, events []modelEvent) time.Time {
	for n := range events {
		if m.summary(events[:n+1]).state == "COMPLETED" {
			return events[n].effective
		}
	}
	return time.Time{}
}

// checkAwards plays the log in its own order, and compares what was earned at any time with the
// awards: they stay when their reasons go. It returns the milestones of the events' awards, by whether
// an admin's event earned them.
func (s *story) checkAwards(documents map[string]reply, log []logEntry, events map[int64]modelEvent) map[bool][]string {
	earned, by := map[string]bool{}, map[bool][]string{}
	enrolled, so := false, map[int64]modelEvent{}
	for _, entry := range log {
		e, isEvent := events[entry.Sequence]
		if isEvent {
			so[entry.Sequence] = e
		}
		enrolled = enrolled || !isEvent
		if !enrolled || len(earned) == len(s.course.milestones) {
			continue
		}
		of := counted(so)
		for _, ms := range s.course.milestones {
			completed, required := tally(ms.groups, func(id string) bool { return s.course.module(id).summary(of[id]).state == "COMPLETED" })
			if completed < required || earned[ms.id] {
				continue
			}
			earned[ms.id] = true
			if isEvent {
				by[e.admin] = append(by[e.admin], ms.id)
			}
		}
	}
	var got recorded // for its awards
	body := documents["/v1/learners/me/awards"].body
	if err := json.Unmarshal(body, &got); err != nil {
		s.faultf("the awards: %v", err)
	}
	if have, want := milestoneIDs(got), slices.Sorted(maps.Keys(earned)); !slices.Equal(have, want) {
		s.faultf("earned was %v by the model; the server has\n%s", want, body)
	}
	var path readPath
	at := "/v1/learners/me/paths/" + s.course.path + "/progress"
	if err := json.Unmarshal(documents[at].body, &path); err != nil {
		s.faultf("%s: %v", at, err)
	}
	for _, ms := range path.Milestones {
		if ms.Award != nil && ms.Completed < ms.Required {
			s.total.add("awards without their reasons", 1)
		}
		if (ms.Award != nil) != earned[ms.ID] {
			s.faultf("milestone %s was earned: %v, by the model; the server has\n%s", ms.ID, earned[ms.ID], documents[at].body)
		}
	}
	s.total.add("awards", len(earned))
	return by
}

func milestoneIDs(r recorded) []string {
	var ids []string
	for _, a := range r.Awards {
		ids = append(ids, a.MilestoneID)
	}
	slices.Sort(ids)
	return ids
}

// checkAgain sends all stored events again, in another order: each is known, with the sequence that
// it was stored with and the awards that it earned, and no document changes. awards are the
// milestones that the admin's events earned, and the learner's own.
func (s *story) checkAgain(documents map[string]reply, awards map[bool][]string) {
	dice := s.dice("again")
	for _, admin := range []bool{false, true} {
		events := slices.DeleteFunc(s.book.stored(), func(e *sentEvent) bool { return e.admin != admin })
		dice.Shuffle(len(events), func(i, k int) { events[i], events[k] = events[k], events[i] })
		token, all := s.token, recorded{}
		if admin {
			token = s.adminToken
		}
		for batch := range slices.Chunk(events, 500) {
			body := batchBody(batch, func() int { return dice.IntN(spellings) })
			r, err := s.call(s.wire, token, http.MethodPost, "/v1/learners/"+s.learner+"/events:batch", body, nil)
			var decoded recorded
			if err == nil {
				err = json.Unmarshal(r.body, &decoded)
			}
			if err != nil || r.status != http.StatusOK || len(decoded.Results) != len(batch) {
				s.faultf("everything again is answered %v %v", err, r)
				return
			}
			for i, result := range decoded.Results {
				if f := s.book.fate[batch[i]]; result.Status != "DUPLICATE" || result.Sequence != f.sequence {
					s.faultf("%s again is answered %+v, and was stored as %d", batch[i].spell(0), result, f.sequence)
				}
			}
			all.Awards = append(all.Awards, decoded.Awards...)
		}
		have, want := slices.Compact(milestoneIDs(all)), awards[admin]
		if slices.Sort(want); !slices.Equal(have, want) {
			s.faultf("everything again (admin: %v) earned %v, the first time it was %v", admin, have, want)
		}
	}
	for path, had := range documents {
		r, err := s.devices[0].call(http.MethodGet, path, "", nil, "If-None-Match", had.header.Get("ETag"))
		if err != nil || r.status != http.StatusNotModified {
			s.faultf("%s changed by sending everything again: %v %v\nwas %s", path, err, r, had.body)
		}
	}
}
