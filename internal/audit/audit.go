// Package audit stores admin commands in a chain: each entry holds the hash of the one
// before, so that none can be changed, dropped or put in between without every later hash
// saying so. A service appends in the transaction of the command itself (log.go) and
// serves its own chain (server.go). What is hashed is the entry as the REST API shows it,
// so that a client that can read a chain can check it, with no code of ours.
package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/preceptor-dev/preceptor/internal/canonical"
)

// Entry is one admin command.
type Entry struct {
	// Sequence is 1, 2, 3, … without gaps, in the order of commits.
	Sequence int64
	// Time is when it was done, in UTC, to the microsecond.
	Time time.Time
	// Actor did it: a learner id, or the subject of an identity.
	Actor string
	// Action is what was done, UPPER_SNAKE.
	Action string
	// Resource is what it was done to, as a path: "paths/{path}/versions/{number}".
	Resource string
	// Reason is why, in the actor's words.
	Reason string
	// PreviousHash is the hash of the entry before; "" for the first.
	PreviousHash string
	// Hash is the SHA-256, in hex, of all the above.
	Hash string
}

// sum computes the entry's hash: of the RFC 8785 JSON of its other fields, by the names
// and in the spellings of the REST API. None of them may ever change: old hashes rest on it.
func (e *Entry) sum() (string, error) {
	return canonical.Hash(map[string]string{
		"sequence":     strconv.FormatInt(e.Sequence, 10),
		"time":         spelled(e.Time),
		"actor":        e.Actor,
		"action":       e.Action,
		"resource":     e.Resource,
		"reason":       e.Reason,
		"previousHash": e.PreviousHash,
	})
}

// spelled is a time as the REST API spells it.
func spelled(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// Head is where a chain ends: the number and the hash of its last entry. The zero Head is
// an empty chain's.
type Head struct {
	Sequence int64
	Hash     string
}

// Follow returns the head after one more entry, or a *BrokenError when the entry is not
// what comes next.
func (h Head) Follow(e Entry) (Head, error) {
	sum, err := e.sum()
	if err != nil {
		return h, err
	}
	return h.next(strconv.FormatInt(e.Sequence, 10), e.PreviousHash, e.Hash, sum)
}

// FollowJSON is Follow for an entry as the REST API returns it. It takes the text as it
// came: a member that was added, dropped or spelled otherwise breaks the chain too.
func (h Head) FollowJSON(entry []byte) (Head, error) {
	var members map[string]any
	if err := json.Unmarshal(entry, &members); err != nil {
		return h, h.broken("it cannot be read")
	}
	text := func(name string) string {
		s, _ := members[name].(string)
		return s
	}
	hash := text("hash")
	delete(members, "hash")
	sum, err := canonical.Hash(members)
	if err != nil {
		return h, err
	}
	return h.next(text("sequence"), text("previousHash"), hash, sum)
}

// next compares the fields of an entry with what they must be, where sum is what its hash must be.
func (h Head) next(sequence, previous, hash, sum string) (Head, error) {
	switch {
	case sequence != strconv.FormatInt(h.Sequence+1, 10):
		return h, h.broken(fmt.Sprintf("an entry %q is in its place", sequence))
	case previous != h.Hash:
		return h, h.broken("it does not hold the hash of the entry before")
	case hash != sum:
		return h, h.broken("its hash is not that of its content")
	}
	return Head{Sequence: h.Sequence + 1, Hash: hash}, nil
}

// broken returns what is wrong with the entry that must come next.
func (h Head) broken(why string) error { return &BrokenError{Sequence: h.Sequence + 1, Why: why} }

// BrokenError is the place where a chain is not what was written.
type BrokenError struct {
	// Sequence is the first entry that is at fault.
	Sequence int64
	// Why is what is wrong with it.
	Why string
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("the chain is broken at entry %d: %s", e.Sequence, e.Why)
}
