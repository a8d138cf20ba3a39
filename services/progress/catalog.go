package progress

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/period"
)

// ModuleState is where a module or path stands in the catalog.
type ModuleState string

// The catalog's states that progress distinguishes.
const (
	ModuleActive   ModuleState = "ACTIVE"
	ModuleArchived ModuleState = "ARCHIVED"
)

// MoveOn is cmi5's rule for when a unit is satisfied.
type MoveOn string

// The moveOn rules.
const (
	MoveOnCompleted          MoveOn = "COMPLETED"
	MoveOnPassed             MoveOn = "PASSED"
	MoveOnCompletedAndPassed MoveOn = "COMPLETED_AND_PASSED"
	MoveOnCompletedOrPassed  MoveOn = "COMPLETED_OR_PASSED"
	MoveOnNotApplicable      MoveOn = "NOT_APPLICABLE"
)

// Basis is what an expiry is counted from.
type Basis string

// The bases.
const (
	BasisCompletion  Basis = "COMPLETION"
	BasisPriorExpiry Basis = "PRIOR_EXPIRY"
	BasisFixedDate   Basis = "FIXED_DATE"
)

// Unit is one part of a module version.
type Unit struct {
	ID           string   `json:"id"`
	Title        string   `json:"title"`
	Required     bool     `json:"required"`
	Weight       float64  `json:"weight"`
	MoveOn       MoveOn   `json:"moveOn"`
	MasteryScore *float64 `json:"masteryScore,omitempty"`
	// Changed reports whether the unit is new in this version, or differs from the preceding one.
	Changed bool `json:"changed,omitempty"`
	// Digest is of all that the catalog says of the unit, which is more than this; "" where the
	// catalog was read before there were digests.
	Digest string `json:"digest,omitempty"`
}

// CurrencyPolicy is how long a completion stays current.
type CurrencyPolicy struct {
	Period period.Period `json:"period"`
	Window period.Period `json:"window"`
	Grace  period.Period `json:"grace"`
	Basis  Basis         `json:"basis"`
	// FixedMonth and FixedDay are the yearly date of BasisFixedDate.
	FixedMonth time.Month `json:"fixedMonth,omitempty"`
	FixedDay   int        `json:"fixedDay,omitempty"`
}

// Published is a version as the catalog publishes it, whole: progress passes it on to learners, and
// reads nothing in it.
type Published struct {
	// Body is the encoded version.
	Body []byte `json:"body"`
	// Digest is the SHA-256 of the body, in hex.
	Digest string `json:"digest"`
}

// ModuleVersion is what progress depends on of a published module version.
type ModuleVersion struct {
	Number        int             `json:"number"`
	Title         string          `json:"title"`
	Units         []Unit          `json:"units"`
	Prerequisites []string        `json:"prerequisites,omitempty"`
	Credits       [][]string      `json:"credits,omitempty"`
	Currency      *CurrencyPolicy `json:"currency,omitempty"`
	// Material reports whether the version is of change class MATERIAL; RetakeAll that every
	// unit is to be learned again, not only the changed ones.
	Material      bool      `json:"material,omitempty"`
	RetakeAll     bool      `json:"retakeAll,omitempty"`
	PublishTime   time.Time `json:"publishTime"`
	EffectiveTime time.Time `json:"effectiveTime"`
	// Published is zero in a draft.
	Published Published `json:"published"`
}

// micros is the weight in millionths: whole numbers add up to the same sum in any order.
func (u *Unit) micros() int64 { return int64(math.Round(u.Weight * 1e6)) }

// Unit finds a unit by id, or returns nil.
func (v *ModuleVersion) Unit(id string) *Unit {
	for i := range v.Units {
		if v.Units[i].ID == id {
			return &v.Units[i]
		}
	}
	return nil
}

// MarkChanged sets which units of v are new or differ from the version that v follows; before is nil
// for a first version, whose units are all new.
func (v *ModuleVersion) MarkChanged(before *ModuleVersion) {
	for i := range v.Units {
		v.Units[i].Changed = before.differs(&v.Units[i])
	}
}

// differs reports whether a unit of the version after v is new, or not as it is in v. v may be nil.
func (v *ModuleVersion) differs(u *Unit) bool {
	var was *Unit
	if v != nil {
		was = v.Unit(u.ID)
	}
	if was == nil {
		return true
	}
	if was.Digest != "" {
		return was.Digest != u.Digest
	}
	is := *u
	is.Changed, is.Digest = was.Changed, ""
	return !reflect.DeepEqual(*was, is)
}

// invalidates reports whether learning the unit before v does not count from v on.
func (v *ModuleVersion) invalidates(unitID string) bool {
	if !v.Material {
		return false
	}
	u := v.Unit(unitID)
	return v.RetakeAll || (u != nil && u.Changed)
}

// ArchivePeriod is one stay in the archive; zero times are open ends.
type ArchivePeriod struct {
	ArchiveTime time.Time `json:"archiveTime"`
	SunsetTime  time.Time `json:"sunsetTime"`
	RestoreTime time.Time `json:"restoreTime"`
}

func (p *ArchivePeriod) contains(t time.Time) bool {
	return !t.Before(p.ArchiveTime) && (p.RestoreTime.IsZero() || t.Before(p.RestoreTime))
}

// slip reports whether the stay was taken back so soon that it counts as never made.
func (p *ArchivePeriod) slip() bool {
	return !p.RestoreTime.IsZero() && p.RestoreTime.Sub(p.ArchiveTime) < SettleAfter
}

// Module is what progress depends on of a catalog module: every version, and when it was archived.
type Module struct {
	ID    string      `json:"id"`
	State ModuleState `json:"state"`
	// Revision is the catalog's revision that last changed the module.
	Revision int64           `json:"revision"`
	Versions []ModuleVersion `json:"versions"`
	Archives []ArchivePeriod `json:"archives,omitempty"`
}

// Version finds a version by number, or returns nil. Numbers run from 1 without gaps.
func (m *Module) Version(number int) *ModuleVersion {
	if number < 1 || number > len(m.Versions) {
		return nil
	}
	return &m.Versions[number-1]
}

// Newest is the newest published version; a module known to progress has one.
func (m *Module) Newest() *ModuleVersion { return &m.Versions[len(m.Versions)-1] }

// versionAt resolves an absent version: the newest published by t that has the unit (any
// version where unitID is ""), else the oldest that has it, else nil.
func (m *Module) versionAt(t time.Time, unitID string) *ModuleVersion {
	var oldest, newest *ModuleVersion
	for i := range m.Versions {
		v := &m.Versions[i]
		if unitID != "" && v.Unit(unitID) == nil {
			continue
		}
		if oldest == nil {
			oldest = v
		}
		if !v.PublishTime.After(t) {
			newest = v
		}
	}
	if newest != nil {
		return newest
	}
	return oldest
}

// era counts the MATERIAL versions up to the given one that invalidated the unit. Credit
// for a unit crosses between two versions if and only if their eras are equal.
func (m *Module) era(unitID string, version int) int {
	n := 0
	for i := 1; i < version && i < len(m.Versions); i++ {
		if m.Versions[i].invalidates(unitID) {
			n++
		}
	}
	return n
}

// floorAt is the newest MATERIAL version in effect at t, or 1: what is not yet completed
// then can no longer be completed on an older one.
func (m *Module) floorAt(t time.Time) int {
	floor := 1
	for i := range m.Versions {
		v := &m.Versions[i]
		if v.Material && !v.EffectiveTime.After(t) {
			floor = v.Number
		}
	}
	return floor
}

// rulesKey begins every foldKey: it names the rules.
const rulesKey = "r2;"

// foldKey names all that folding old events depends on and that may change after they were folded:
// the rules, and of the module its MATERIAL versions, and its stays in the archive.
func (m *Module) foldKey() string {
	var b strings.Builder
	b.WriteString(rulesKey)
	for i := range m.Versions {
		if v := &m.Versions[i]; v.Material {
			fmt.Fprintf(&b, "m%d@%d;", v.Number, v.EffectiveTime.UnixMicro())
		}
	}
	for i := range m.Archives {
		p := &m.Archives[i]
		if p.slip() {
			continue
		}
		fmt.Fprintf(&b, "a%d-%d-%d;", p.ArchiveTime.UnixMicro(), unixMicro(p.SunsetTime), unixMicro(p.RestoreTime))
	}
	return b.String()
}

// changedIn reports whether something that foldKey names happened between two times, in microseconds, or at
// one of them.
func (m *Module) changedIn(from, to int64) bool {
	in := func(t time.Time) bool { return !t.IsZero() && from <= t.UnixMicro() && t.UnixMicro() <= to }
	return slices.ContainsFunc(m.Versions, func(v ModuleVersion) bool { return v.Material && in(v.EffectiveTime) }) ||
		slices.ContainsFunc(m.Archives, func(p ArchivePeriod) bool {
			return !p.slip() && (in(p.ArchiveTime) || in(p.SunsetTime) || in(p.RestoreTime))
		})
}

// materialsBy counts the MATERIAL versions of a foldKey that are in effect at a time, in microseconds.
func materialsBy(key string, at int64) int {
	n := 0
	for part := range strings.SplitSeq(key, ";") {
		if _, effect, ok := strings.Cut(part, "@"); ok {
			if t, err := strconv.ParseInt(effect, 10, 64); err == nil && t <= at {
				n++
			}
		}
	}
	return n
}

// archivedAt returns the stay in the archive at t, or nil.
func (m *Module) archivedAt(t time.Time) *ArchivePeriod {
	for i := range m.Archives {
		if p := &m.Archives[i]; p.contains(t) && !p.slip() {
			return p
		}
	}
	return nil
}

// grants calls visit with each group of older modules that gives the module in full, and the
// earliest version that says so. One that the author took back within the hour was never made.
func (m *Module) grants(visit func(v *ModuleVersion, group []string)) {
	var seen [][]string
	for i := range m.Versions {
		v := &m.Versions[i]
		for _, group := range v.Credits {
			known := slices.ContainsFunc(seen, func(had []string) bool { return sameGroup(had, group) })
			if known || m.takenBack(v, group) {
				continue
			}
			seen = append(seen, group)
			visit(v, group)
		}
	}
}

// takenBack reports whether a version that followed another within the hour lacks a group of its credits.
func (m *Module) takenBack(v *ModuleVersion, group []string) bool {
	return slices.ContainsFunc(m.Versions[v.Number:], func(w ModuleVersion) bool {
		lacks := !slices.ContainsFunc(w.Credits, func(g []string) bool { return sameGroup(g, group) })
		return lacks && w.PublishTime.Sub(v.PublishTime) < SettleAfter
	})
}

// sameGroup reports whether two groups of credits, which name no module twice, have the same modules.
func sameGroup(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(id string) bool { return !slices.Contains(b, id) })
}

// Group asks for all of its modules, or for RequiredCount of them where that is not nil.
type Group struct {
	ModuleIDs     []string `json:"moduleIds"`
	RequiredCount *int     `json:"requiredCount,omitempty"`
}

// Milestone is a stage of a path.
type Milestone struct {
	ID     string  `json:"id"`
	Title  string  `json:"title"`
	Groups []Group `json:"groups"`
}

// moduleIDs returns the milestone's modules in order, each once.
func (m *Milestone) moduleIDs() []string {
	var ids []string
	for _, g := range m.Groups {
		for _, id := range g.ModuleIDs {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// PathVersion is a published path version.
type PathVersion struct {
	Number     int         `json:"number"`
	Title      string      `json:"title"`
	Milestones []Milestone `json:"milestones"`
	// MandateTime is from when an upgrade to it is mandatory; zero: it is not.
	MandateTime time.Time `json:"mandateTime,omitzero"`
	// PublishTime is when it was published, and never falls from one version to the next.
	PublishTime time.Time `json:"publishTime"`
	// Published is zero in a draft.
	Published Published `json:"published"`
}

// ModuleIDs returns the path's modules in order, each once.
func (v *PathVersion) ModuleIDs() []string {
	var ids []string
	for i := range v.Milestones {
		for _, id := range v.Milestones[i].moduleIDs() {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// groups returns the groups of all milestones.
func (v *PathVersion) groups() []Group {
	var out []Group
	for i := range v.Milestones {
		out = append(out, v.Milestones[i].Groups...)
	}
	return out
}

// Path is a learning path with every version.
type Path struct {
	ID    string      `json:"id"`
	State ModuleState `json:"state"`
	// Revision is the catalog's revision that last changed the path.
	Revision int64         `json:"revision"`
	Versions []PathVersion `json:"versions"`
}

// Version finds a version by number, or returns nil.
func (p *Path) Version(number int) *PathVersion {
	if number < 1 || number > len(p.Versions) {
		return nil
	}
	return &p.Versions[number-1]
}

// Newest is the newest published version.
func (p *Path) Newest() *PathVersion { return &p.Versions[len(p.Versions)-1] }

// Mandated returns the version that an enrollment is on at t: the newest whose upgrade is mandatory by
// then, or the pinned one.
func (p *Path) Mandated(pinned int, t time.Time) int {
	for v := p.mandatedAfter(pinned, t); v != nil; v = p.mandatedAfter(pinned, t) {
		pinned = v.Number
	}
	return pinned
}

// mandatedAfter returns the first version after the pinned one whose upgrade became mandatory, by t; nil:
// none did. Of several at one time it is the newest.
func (p *Path) mandatedAfter(pinned int, t time.Time) *PathVersion {
	var first *PathVersion
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Number <= pinned || v.MandateTime.IsZero() || v.MandateTime.After(t) {
			continue
		}
		if first == nil || !v.MandateTime.After(first.MandateTime) {
			first = v
		}
	}
	return first
}

// milestoneSince is when the first version with a milestone was published; zero: none has it.
func (p *Path) milestoneSince(id string) time.Time {
	for i := range p.Versions {
		v := &p.Versions[i]
		if slices.ContainsFunc(v.Milestones, func(m Milestone) bool { return m.ID == id }) {
			return v.PublishTime
		}
	}
	return time.Time{}
}

// nextMandate is the first time after t at which an upgrade from the pinned version becomes mandatory, or zero.
func (p *Path) nextMandate(pinned int, t time.Time) time.Time {
	var next time.Time
	for i := range p.Versions {
		if v := &p.Versions[i]; v.Number > pinned && v.MandateTime.After(t) {
			next = sooner(next, v.MandateTime)
		}
	}
	return next
}

// Catalog is an immutable snapshot of the published catalog.
type Catalog struct {
	Revision int64
	Modules  map[string]*Module
	Paths    map[string]*Path
}

// CatalogDelta is what changed between two revisions, each entity whole.
type CatalogDelta struct {
	Revision int64
	Modules  []Module
	Paths    []Path
}

// With returns a new snapshot with the delta merged in.
func (c *Catalog) With(d CatalogDelta) *Catalog {
	out := &Catalog{
		Revision: d.Revision,
		Modules:  make(map[string]*Module, len(c.Modules)+len(d.Modules)),
		Paths:    make(map[string]*Path, len(c.Paths)+len(d.Paths)),
	}
	maps.Copy(out.Modules, c.Modules)
	maps.Copy(out.Paths, c.Paths)
	for i := range d.Modules {
		if len(d.Modules[i].Versions) > 0 { // what was never published does not concern progress
			out.Modules[d.Modules[i].ID] = &d.Modules[i]
		}
	}
	for i := range d.Paths {
		if len(d.Paths[i].Versions) > 0 {
			out.Paths[d.Paths[i].ID] = &d.Paths[i]
		}
	}
	return out
}

// TouchedPaths returns the paths whose learners may have reached something between two looks:
// those that changed, or have a module that was touched.
func (c *Catalog) TouchedPaths(revision int64, passed func(time.Time) bool, touched map[string]bool) []string {
	var out []string
	for id, p := range c.Paths {
		hit := p.Revision > revision
		for i := range p.Versions {
			v := &p.Versions[i]
			hit = hit || settled(passed, v.MandateTime) || slices.ContainsFunc(v.ModuleIDs(), func(module string) bool { return touched[module] })
		}
		if hit {
			out = append(out, id)
		}
	}
	return out
}

// TouchedModules returns the modules that changed, or had a time of theirs pass, or have an
// equivalence with such a one; the others are absent.
func (c *Catalog) TouchedModules(revision int64, passed func(time.Time) bool) map[string]bool {
	touched := map[string]bool{}
	for id, m := range c.Modules {
		if m.Revision > revision ||
			slices.ContainsFunc(m.Archives, func(p ArchivePeriod) bool { return settled(passed, p.ArchiveTime) || settled(passed, p.SunsetTime) }) ||
			slices.ContainsFunc(m.Versions, func(v ModuleVersion) bool {
				return passed(v.EffectiveTime) || len(v.Credits) > 0 && settled(passed, v.PublishTime)
			}) {
			touched[id] = true
		}
	}
	var credited []string // equivalences are not transitive: so collected first
	for id, m := range c.Modules {
		for i := range m.Versions {
			for _, group := range m.Versions[i].Credits {
				if slices.ContainsFunc(group, func(part string) bool { return touched[part] }) {
					credited = append(credited, id)
				}
			}
		}
	}
	for _, id := range credited {
		touched[id] = true
	}
	return touched
}

// settled reports whether what began at t came to be latched between two looks.
func settled(passed func(time.Time) bool, t time.Time) bool {
	return !t.IsZero() && passed(t.Add(SettleAfter))
}

func unixMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
