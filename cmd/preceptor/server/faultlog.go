package server

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// keptFaults is how many faults are kept: a command makes one request after the other.
const keptFaults = 16

// faultLog is the log of a folder that is open for a command, which has no other: it keeps the causes of
// the faults that a response only names by the id of the request.
type faultLog struct {
	kept  *keptCauses
	attrs []slog.Attr
}

type keptCauses struct {
	mu    sync.Mutex
	ids   []string
	cause map[string]string
}

func newFaultLog() faultLog { return faultLog{kept: &keptCauses{cause: map[string]string{}}} }

func (f faultLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (f faultLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	f.attrs = slices.Concat(f.attrs, attrs)
	return f
}

func (f faultLog) WithGroup(string) slog.Handler { return f }

// Handle keeps the first cause of a request.
func (f faultLog) Handle(_ context.Context, r slog.Record) error {
	id, cause := "", ""
	read := func(a slog.Attr) bool {
		switch a.Key {
		case "request_id":
			id = a.Value.String()
		case "error":
			cause = a.Value.String()
		}
		return true
	}
	for _, a := range f.attrs {
		read(a)
	}
	r.Attrs(read)
	if id == "" || cause == "" {
		return nil
	}
	k := f.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.cause[id]; known {
		return nil
	}
	if len(k.ids) == keptFaults {
		delete(k.cause, k.ids[0])
		k.ids = k.ids[1:]
	}
	k.ids, k.cause[id] = append(k.ids, id), cause
	return nil
}

// of returns the cause of a request's fault, or "".
func (f faultLog) of(requestID string) string {
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	return f.kept.cause[requestID]
}
