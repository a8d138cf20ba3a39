package progress

import "time"

// NoteCode is why an event that is stored does not count at present.
type NoteCode string

// The codes.
const (
	NoteArchived          NoteCode = "ARCHIVED"
	NoteAfterSunset       NoteCode = "AFTER_SUNSET"
	NoteRenewalEarly      NoteCode = "RENEWAL_EARLY"
	NoteSupersededVersion NoteCode = "SUPERSEDED_VERSION"
)

// Note is why an event that is stored does not count at present, and the time that it is about: of the
// archiving, of the sunset, from when it counts, or from when another version is in effect.
type Note struct {
	Code NoteCode
	Time time.Time
}

// Note returns why a stored event of the module does not count, as the facts are at now; nil: it counts.
func (f *Facts) Note(m *Module, e *KnownEvent, now time.Time) *Note {
	if f == nil || m == nil {
		return nil
	}
	if p := m.archivedAt(e.EffectiveAt); p != nil && !f.counts(m, e.EffectiveAt) {
		if f.begunBefore(p) {
			return &Note{NoteAfterSunset, p.SunsetTime.UTC()}
		}
		return &Note{NoteArchived, p.ArchiveTime.UTC()}
	}
	if len(f.Cycles) == 0 {
		return nil
	}
	c, at := &f.Cycles[len(f.Cycles)-1], e.EffectiveAt.UnixMicro()
	aside := f.Aside != nil && at >= f.Aside.BeginAt
	switch {
	case aside && now.UnixMicro() < c.WindowAt:
		return &Note{NoteRenewalEarly, timeOf(c.WindowAt)}
	case aside: // the window is open, and what was gathered counts toward the renewal
	case e.UnitID == "" || at < c.BeginAt || c.CompleteAt != 0 && at <= c.CompleteAt:
		return nil // the whole module, or a part of what is complete
	case c.CompleteAt != 0:
		now = e.EffectiveAt // what came into effect later took nothing from it
	}
	for n := e.ModuleVersion + 1; n <= len(m.Versions); n++ {
		if v := m.Version(n); v.invalidates(e.UnitID) && !v.EffectiveTime.After(now) {
			return &Note{NoteSupersededVersion, v.EffectiveTime.UTC()}
		}
	}
	return nil
}
