//go:build realservers

package e2e

import (
	"fmt"
	"net/http"
	"slices"
)

// resentAtOnce is how many lost events a sender sends in one batch: few, so that the numbers of the
// lost log are given again one by one.
const resentAtOnce = 3

// moved reports whether an answer is of another log than the one that the sender has.
func (h *sender) moved(logID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.logID == "" {
		h.logID = logID
	}
	return logID != h.logID
}

// ofLog returns which log the sender's events are acknowledged in.
func (h *sender) ofLog() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logID
}

// fellBack reports whether there is another log by now.
func (h *sender) fellBack() bool {
	_, logID, err := h.log(0, 1)
	return err == nil && h.moved(logID)
}

// saves fixes that nothing acknowledged by now may be lost.
func (h *sender) saves() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.safe = len(h.acked)
}

// follow does what docs/api.md asks of a device when a log has another id: it reads the log anew and
// sends what that lacks, the batch in the making included. It reports whether all is in the log then;
// if not, another answer makes the sender follow again. On the way it reads progress, which must be
// that of the shorter log and of each that follows, though their sequences were those of other events.
func (h *sender) follow(batch []any) bool {
	found, logID, err := h.log(0, 1<<62)
	if err != nil || !h.knows(found) {
		return false
	}
	missing := h.missing(found)
	if !h.shows(found) {
		return false
	}
	for _, e := range batch {
		id := plain(dig(e, "eventId"))
		if !slices.ContainsFunc(found, func(s storedEvent) bool { return s.id == id }) {
			missing = append(missing, e)
		}
	}
	slices.Reverse(missing) // so that no event has the number again that it had
	for piece := range slices.Chunk(missing, resentAtOnce) {
		stored, at, ok := h.record(piece)
		if !ok || at != logID {
			return false
		}
		if found = append(found, stored...); !h.shows(found) {
			return false
		}
	}
	slices.SortFunc(found, func(a, b storedEvent) int { return int(a.sequence - b.sequence) })
	again, at, err := h.log(0, int64(len(found))+1) // one more, if there is one
	if err != nil || at != logID {
		return false
	}
	count := h.count.Load()
	if !slices.Equal(again, found) {
		count.wrong.Add(1)
		count.notef("%s: the log has %d entries, and %d were acknowledged anew", h.name, len(again), len(found))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	count.batches.Add(1)
	count.events.Add(int64(len(batch)))
	h.acked, h.logID, h.safe = found[1:], logID, 0
	clear(h.gone)
	return true
}

// knows reports whether a log has only what was sent, all that no fault may lose, and each once.
func (h *sender) knows(found []storedEvent) bool {
	h.mu.Lock()
	safe := slices.Concat([]storedEvent{{sequence: 1}}, h.acked[:h.safe])
	h.mu.Unlock()
	count := h.count.Load()
	if len(found) < len(safe) || !slices.Equal(found[:len(safe)], safe) {
		count.wrong.Add(1)
		count.notef("%s: of a log of %d entries the first %d were safe, and are others", h.name, len(found), len(safe))
		return false
	}
	seen := map[string]bool{}
	for i, e := range found {
		if e.sequence != int64(i)+1 || i > 0 && h.sent[e.id] == nil || seen[e.id] {
			count.wrong.Add(1)
			count.notef("%s: entry %d of the log is %+v", h.name, i, e)
			return false
		}
		seen[e.id] = true
	}
	return true
}

// missing are the acknowledged events that a log lacks. Each is counted once.
func (h *sender) missing(found []storedEvent) (events []any) {
	has := map[string]bool{}
	for _, e := range found {
		has[e.id] = true
	}
	count := h.count.Load()
	for _, e := range h.promised() {
		if has[e.id] {
			continue
		}
		events = append(events, h.sent[e.id])
		if !h.gone[e.id] {
			h.gone[e.id] = true
			h.losses++
			count.lost.Add(1)
			count.notef("%s: %+v was acknowledged and is gone", h.name, e)
		}
	}
	return events
}

// shows reports whether the module's progress is that of the entries of a log.
func (h *sender) shows(entries []storedEvent) bool {
	a, err := h.ask(http.MethodGet, "/v1/learners/me/modules/"+faultModule+"/progress", nil)
	if err != nil {
		return false
	}
	decoded, ok := h.decode(a, "progress after a log fell back")
	if !ok {
		return false
	}
	var furthest [faultUnits]float64
	var done [faultUnits]bool
	for _, entry := range entries[1:] {
		e := h.sent[entry.id]
		var unit int
		_, _ = fmt.Sscanf(plain(dig(e, "unitId")), "u%d", &unit)
		if progress, ok := dig(e, "progress").(float64); ok {
			furthest[unit] = max(furthest[unit], progress)
		} else {
			done[unit] = true
		}
	}
	count := h.count.Load()
	count.reads.Add(1)
	if decoded.AsOfSequence != int64(len(entries)) || !decoded.is(furthest, done) {
		count.stale.Add(1)
		count.notef("%s: the log has %d entries, which give %v and %v, and the module is %+v", h.name, len(entries), furthest, done, decoded)
	}
	return true
}
