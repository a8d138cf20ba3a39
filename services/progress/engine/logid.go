package engine

import "github.com/google/uuid"

// logSpace is the UUIDv5 namespace of log ids.
//
//nolint:gochecknoglobals // a constant that Go has no constant form for
var logSpace = uuid.MustParse("0d3c5f0a-8a3e-5d52-9f5c-1f6a3b7f4c11")

// LogID identifies the logs of a line of the database's history (progress.Head.Timeline). It changes when
// entries may have been lost, so that their numbers are given again: when a backup is restored, and when a
// standby takes over.
func (s *Service) LogID(timeline string) string {
	if last := s.lastLog.Load(); last != nil && last.timeline == timeline {
		return last.id // as almost always: it is asked for with every batch
	}
	id := uuid.NewSHA1(logSpace, []byte(timeline)).String()
	s.lastLog.Store(&logLine{timeline, id})
	return id
}

// logLine is a line of the database's history, and the id of its logs.
type logLine struct{ timeline, id string }
