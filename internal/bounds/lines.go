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
	left    bucket
	skipped int64
}

// What callers who were refused before they had shown who they are may write to the log of a server.
const (
	RefusalsPerSecond = 10
	RefusalsBurst     = 100
)

// NewLines returns the bound of a log.
func NewLines(perSecond, burst int, now func() time.Time) *Lines {
	return &Lines{perSecond: float64(perSecond), burst: float64(burst), now: now, left: bucket{float64(burst), now()}}
}

// Next reports whether one more line may be written, and how many were not since the last one that was.
func (l *Lines) Next() (skipped int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left.fill(l.perSecond, l.burst, l.now())
	if l.left.level < 1 {
		l.skipped++
		return 0, false
	}
	l.left.level--
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}
