package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxRSS is what the program may have in memory at any time: what a container of it is given.
const maxRSS = 384 << 10 // KiB

// maxFaults bounds the faults that are shown of one attack; all are counted.
const maxFaults = 12

// tally counts what was sent and what came back.
type tally struct {
	// busy is whether 503 with Retry-After, or UNAVAILABLE, is how the attack is meant to be refused.
	busy bool

	mu       sync.Mutex
	sent     int
	outcomes map[string]int
	broken   int // 5xx that should not be
	found    []string
	summary  []string // faults of the whole attack, shown before the others
	faults   int
}

// add counts one request with its outcome: a status, a code, or how the connection ended.
func (t *tally) add(outcome string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent++
	t.outcomes[outcome]++
}

// faultf records what should not have happened.
func (t *tally) faultf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults++
	text := fmt.Sprintf("%.400s", fmt.Sprintf(format, args...))
	if len(t.found) < maxFaults && !slices.Contains(t.found, text) {
		t.found = append(t.found, text)
	}
}

// summaryf is faultf for what is true of the attack as a whole.
func (t *tally) summaryf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults++
	t.summary = append(t.summary, fmt.Sprintf(format, args...))
}

// serverFaultf is faultf for a response that says that the server failed.
func (t *tally) serverFaultf(format string, args ...any) {
	t.mu.Lock()
	t.broken++
	t.mu.Unlock()
	t.faultf(format, args...)
}

// http counts a response. It is at fault when it is 5xx, or refuses without a problem that a program can read.
func (t *tally) http(what string, a *answer) {
	t.add(fmt.Sprint(a.status))
	if t.busy && (a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" || a.status == http.StatusGatewayTimeout) {
		return // there is more to do than the machine can in time
	}
	if a.status >= http.StatusInternalServerError {
		t.serverFaultf("%s: %d %.200q", what, a.status, a.body)
		return
	}
	if a.status < http.StatusBadRequest {
		return
	}
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" || a.problem().Reason == "" {
		t.faultf("%s: %d is no problem document but %q %.200q", what, a.status, kind, a.body)
	}
}

// grpc counts the end of a call. It is at fault when its code says that the server failed.
func (t *tally) grpc(what string, err error) codes.Code {
	code := status.Code(err)
	t.add(code.String())
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		t.serverFaultf("%s: %v", what, err)
	case codes.Unavailable, codes.DeadlineExceeded:
		if !t.busy {
			t.serverFaultf("%s: %v", what, err)
		}
	default:
	}
	return code
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is the part of a problem document that attacks read.
type problem struct {
	Reason     string `json:"reason"`
	RequestID  string `json:"requestId"`
	Violations []struct {
		Field  string `json:"field"`
		Reason string `json:"reason"`
	} `json:"violations"`
}

// problem returns the problem in the body, empty where there is none.
func (a *answer) problem() problem {
	var p problem
	_ = json.Unmarshal(a.body, &p)
	return p
}

// row is one line of the table.
type row struct {
	name  string
	tally *tally

	peak, after int64 // KiB
	honest      []time.Duration
	retried     int
}

const header = "| attack | sent | outcomes | 5xx | peak memory | a minute later | honest requests | p50 | p99 | failed |\n" +
	"| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"

func (r *row) failed() bool { return len(r.faults()) > 0 }

// faults are what the attack found, in the order in which it was found.
func (r *row) faults() []string {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	found := slices.Concat(r.tally.summary, r.tally.found)
	if more := r.tally.faults - len(found); more > 0 {
		found = append(found, fmt.Sprintf("and %d more", more))
	}
	return found
}

// String is the row in Markdown.
func (r *row) String() string {
	t := r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	honest := fmt.Sprint(len(r.honest))
	if r.retried > 0 {
		honest += fmt.Sprintf(" (%d tried again)", r.retried)
	}
	after := "–"
	if r.after > 0 {
		after = megabytes(r.after)
	}
	return fmt.Sprintf("| %s | %d | %s | %d | %s | %s | %s | %s | %s | %d |", r.name, t.sent, outcomes(t.outcomes), t.broken,
		megabytes(r.peak), after, honest, milliseconds(r.honest, 50), milliseconds(r.honest, 99), t.faults)
}

// outcomes writes the counts in the order of their names: statuses, then codes.
func outcomes(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d × %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}

func megabytes(kib int64) string { return fmt.Sprintf("%d MiB", kib>>10) }

// milliseconds is a percentile of durations; nothing where there are none.
func milliseconds(of []time.Duration, percent int) string {
	if len(of) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(of))
	return fmt.Sprintf("%.1f ms", float64(sorted[min(len(sorted)-1, len(sorted)*percent/100)].Microseconds())/1000)
}
