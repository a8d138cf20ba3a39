package sqlstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tagged"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// What the function commit_batch raises.
const (
	raisedCatalog = "PC001"
	raisedStale   = "PC002"
	raisedLine    = "PC003"
)

// batchArgs is how many arguments batchCall makes.
const batchArgs = 22

// callBatch is the statement that calls commit_batch. Postgres computes the mark of the line of history, by
// an expression that is not the same for all roles, and compares it with those of the line that was read from.
func callBatch(mark string) string {
	var b strings.Builder
	b.WriteString(`SELECT commit_batch(` + mark + ` = ANY ($1)`)
	for n := 2; n <= batchArgs; n++ {
		b.WriteString(`, $` + strconv.Itoa(n))
	}
	b.WriteString(`)`)
	return b.String()
}

// batchCall is a set as the arguments of commit_batch: an array for each column. It returns a
// *progress.StaleError where the heads are of more than one line of history.
func batchCall(l *lines, set *progress.WriteSet) ([]any, error) {
	var ids idArrays
	n := len(set.Heads)
	line := set.Heads[0].Was.Timeline
	learners, wasSequence, wasVersion, sequence, version := make([][16]byte, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	var stale []string
	for i := range set.Heads {
		h := &set.Heads[i]
		if h.Was.Timeline != line {
			stale = append(stale, h.Was.LearnerID)
		}
		learners[i] = ids.id(h.Was.LearnerID)
		wasSequence[i], wasVersion[i], sequence[i], version[i] = h.Was.Sequence, h.Was.Version, h.Is.Sequence, h.Is.Version
	}
	if len(stale) > 0 {
		return nil, &progress.StaleError{Learners: stale}
	}
	call := append(make([]any, 0, batchArgs), l.marksOf(line), set.Catalog, learners, wasSequence, wasVersion, sequence, version)
	call = ids.appendLog(call, set.Records)
	call = ids.appendFacts(call, set.Facts)
	return call, ids.err
}

// idArrays makes ids of texts, and notes the first text that is none.
type idArrays struct{ err error }

func (a *idArrays) id(text string) [16]byte {
	id, ok := tagged.ParseUUID(text)
	if !ok && a.err == nil {
		a.err = errs.New(errs.Internal, errs.ReasonInternal, "%q is not stored as an id: it is no UUID in lower case", text)
	}
	return id
}

// optional is id, and NULL for "".
func (a *idArrays) optional(text string) *[16]byte {
	if text == "" {
		return nil
	}
	return new(a.id(text))
}

func (a *idArrays) appendLog(call []any, records []progress.Record) []any {
	n := len(records)
	learners, sequences, received := make([][16]byte, n), make([]int64, n), make([]int64, n)
	events, modules, voids, entries := make([]*[16]byte, n), make([]*string, n), make([]*[16]byte, n), make([][]byte, n)
	for i := range records {
		r := &records[i]
		learners[i], sequences[i], received[i] = a.id(r.LearnerID), r.Sequence, r.ReceivedAt.UnixMicro()
		events[i], voids[i] = a.optional(r.Event.ID), a.optional(r.Event.VoidsEventID)
		if r.Event.ModuleID != "" {
			modules[i] = &r.Event.ModuleID
		}
		entries[i] = progress.AppendEntry(make([]byte, 0, 256), r)
	}
	return append(call, learners, sequences, received, events, modules, voids, entries)
}

func (a *idArrays) appendFacts(call []any, facts []progress.FactsChange) []any {
	n := len(facts)
	learners, modules, states := make([][16]byte, n), make([]string, n), make([][]byte, n)
	keys, materials, cycles, completes, shapes := make([]string, n), make([]int32, n), make([]string, n), make([]*int32, n), make([]int64, n)
	for i := range facts {
		f, s := &facts[i], facts[i].Is.Summary()
		learners[i], modules[i], states[i] = a.id(f.LearnerID), f.ModuleID, progress.AppendFacts(make([]byte, 0, 256), f.Is)
		keys[i], materials[i], cycles[i], shapes[i] = s.Key, int32(s.Materials), string(s.CycleState), s.Shape
		if s.CompleteVersion != 0 {
			completes[i] = new(int32(s.CompleteVersion))
		}
	}
	return append(call, learners, modules, states, keys, materials, cycles, completes, shapes)
}

// writeBatch moves the heads and writes log entries and facts, by one statement.
func (c *commitTx) writeBatch(ctx context.Context, set *progress.WriteSet) error {
	call, err := batchCall(c.lines, set)
	if err != nil {
		return err
	}
	_, err = c.tx.ExecContext(ctx, callBatch(c.mark), call...)
	return refusal(err)
}

// refusal is the error of a call of commit_batch in the words of Write.
func refusal(err error) error {
	if sqldb.IsUnique(err) { // only an id of an event can be there already, behind the fence
		return &progress.StaleError{Events: true}
	}
	code, detail := sqldb.Raised(err)
	switch code {
	case raisedCatalog:
		revision, err := strconv.ParseInt(detail, 10, 64)
		if err != nil {
			return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "commit_batch returned a revision that is no number")
		}
		return &progress.StaleError{Catalog: revision}
	case raisedStale:
		return &progress.StaleError{Learners: strings.Fields(detail)}
	case raisedLine:
		return errUnknownLine
	}
	return err
}
