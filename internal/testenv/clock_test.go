package testenv

import (
	"testing"
	"time"
)

func TestClockAhead(t *testing.T) {
	began := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for setting, want := range map[string]time.Duration{
		"":                     0,
		"2026-06-02T12:00:00Z": 24 * time.Hour,
		"2026-06-01T11:00:00Z": -time.Hour,
		"87600h0m0.5s":         87600*time.Hour + 500*time.Millisecond,
	} {
		if got, err := clockAhead(setting, began); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", setting, got, err, want)
		}
	}
	for _, setting := range []string{"tomorrow", "2026-06-02", "12"} {
		if _, err := clockAhead(setting, began); err == nil {
			t.Errorf("%q is taken", setting)
		}
	}
}

// A process that is started by this one is as far ahead as this one is.
func TestClockIsShared(t *testing.T) {
	env := ClockEnv()
	if !ClockMoved() {
		if len(env) != 0 {
			t.Errorf("the clock is not moved, and child processes get %q", env)
		}
		return
	}
	if d, err := time.ParseDuration(env[0][len(clockVariable)+1:]); err != nil || d != ahead() {
		t.Errorf("%q, %v; want %v", env, err, ahead())
	}
}
