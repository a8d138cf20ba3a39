// Package logs is what log lines have in common wherever they are written: how callers are named, in
// which unit durations are, and which lines about successful requests are left out.
package logs

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"time"
)

// DurationKey is the key of every duration in the log. Its unit is in it, and its value is a number.
const DurationKey = "duration_ms"

// Duration returns a duration as an attribute: in milliseconds, to the microsecond.
func Duration(d time.Duration) slog.Attr {
	return slog.Float64(DurationKey, math.Round(float64(d)/float64(time.Microsecond))/1000)
}

// Slow is how long a request takes at least for its line to be written in any case.
const Slow = time.Second

// Sampler leaves out lines about successful requests. A nil Sampler leaves out none.
type Sampler struct {
	rate float64
	draw func() float64 // from 0 to below 1
}

// NewSampler returns a sampler that keeps a share of the lines, above 0 and below 1; one that keeps all for
// any other number.
func NewSampler(rate float64) *Sampler {
	if rate <= 0 || rate >= 1 {
		return nil
	}
	return &Sampler{rate: rate, draw: rand.Float64}
}

// Keep reports whether to write the line of a successful request that took so long, and with which
// attributes: one whose line had to be drawn says which share of them is written, so that counts can be
// scaled. took is negative for a stream, which lasts for as long as its client likes.
func (s *Sampler) Keep(took time.Duration) (attrs []slog.Attr, keep bool) {
	if s == nil || took >= Slow {
		return nil, true
	}
	if s.draw() >= s.rate {
		return nil, false
	}
	return []slog.Attr{slog.Float64("sample_rate", s.rate)}, true
}
