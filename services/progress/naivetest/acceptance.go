package naivetest

import (
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// tolerance is how far a device's clock may be off without anybody minding.
const tolerance = 5 * time.Minute

// Sending is what the time of an event depends on.
type Sending struct {
	// OccurredAt and SentAt are by the device's clock; SentAt is zero where the batch has none.
	OccurredAt, SentAt time.Time
	// ArrivedAt is when the batch arrived, ReceivedAt when it is committed, both by our clock.
	ArrivedAt, ReceivedAt time.Time
	Admin                 bool
	// Module, Version and UnitID are what the event names; Version 0: none.
	Module  *progress.Module
	Version int
	UnitID  string
}

// Accepted is the time and the version by which an event counts.
type Accepted struct {
	EffectiveAt time.Time
	Version     int
	Adjusted    bool
}

// Accept gives an event its time and its version. A device that was off by more than five minutes when
// it sent was off by as much when it wrote, so that is added. Nothing happens in our future. A version
// that is not named is the newest with the unit that was published by then, else the oldest with it.
// Nothing is learned from a version before it is published, unless an admin knows better.
func Accept(s Sending) Accepted {
	at := s.OccurredAt
	if off := s.ArrivedAt.Sub(s.SentAt); !s.SentAt.IsZero() && (off > tolerance || off < -tolerance) {
		at = at.Add(off)
	}
	if at.After(s.ReceivedAt) {
		at = s.ReceivedAt
	}
	if at.UnixMicro() < 1 {
		at = time.UnixMicro(1).UTC()
	}
	out := Accepted{EffectiveAt: at, Version: s.Version}
	if out.Version == 0 {
		out.Version = resolve(s.Module, s.UnitID, at)
	}
	if v := versionOf(s.Module, out.Version); v != nil && !s.Admin && v.PublishTime.After(at) {
		out.EffectiveAt = v.PublishTime
	}
	moved := out.EffectiveAt.Sub(s.OccurredAt)
	out.Adjusted = moved > tolerance || moved < -tolerance
	return out
}

// resolve is the version that an event means which names none; 0 where none has the unit.
func resolve(m *progress.Module, unitID string, at time.Time) int {
	newest, oldest := 0, 0
	for i := range m.Versions {
		v := &m.Versions[i]
		if unitID != "" && unitOf(v, unitID) == nil {
			continue
		}
		if oldest == 0 {
			oldest = v.Number
		}
		if !v.PublishTime.After(at) {
			newest = v.Number
		}
	}
	if newest != 0 {
		return newest
	}
	return oldest
}
