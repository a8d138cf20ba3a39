package bounds

import (
	"sync"
	"time"
)

// Lines bounds how many lines a log gets that anybody can cause: a burst of them, and then so many a
// second. Safe for concurrent use.
type Lines struct {
	perSecond, burst float64
	now              func() time.Time

	mu      sync.Mutex
	left    float64
	at      time.Time
	skipped int64
}

// What callers who were refused before they had shown who they are may write to the log of a server.
const (
	RefusalsPerSecond = 10
	RefusalsBurst     = 100
)

// NewLines returns the bound of a log.
func NewLines(perSecond, burst int, now func() time.Time) *Lines {
	return &Lines{perSecond: float64(perSecond), burst: float64(burst), now: now, left: float64(burst), at: now()}
}

// Next reports whether one more line may be written, and how many were not since the last one that was.
func (l *Lines) Next() (skipped int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if passed := now.Sub(l.at); passed > 0 {
		l.left = min(l.burst, l.left+passed.Seconds()*l.perSecond)
	}
	l.at = now
	if l.left < 1 {
		l.skipped++
		return 0, false
	}
	l.left--
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}
