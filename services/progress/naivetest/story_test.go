package naivetest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/naivetest"
)

// lines is a value as lines of JSON, to be compared.
func lines(v any) []string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		panic(err)
	}
	return strings.Split(string(b), "\n")
}

// context is how many lines difference shows before those that differ.
const context = 14

// difference shows the lines that differ, and the few before them.
func difference(a, b []string) string {
	common := make([][]int, len(a)+1) // lengths of the longest common sequences of the rests
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []string
	same := 0
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			same, i, j = same+1, i+1, j+1
			if same > context {
				out = slices.Delete(out, len(out)-context-1, len(out)-context)
			}
			continue
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
		same = 0
	}
	return strings.Join(out[:len(out)-min(same, context)], "\n")
}

// story is what happened: the catalog, what is stored, and the log, a line each.
func (l *life) story(in *naivetest.Input) string {
	var b strings.Builder
	for i := range l.stage.Modules {
		tellModule(&b, &l.stage.Modules[i])
	}
	for i := range l.stage.Paths {
		tellPath(&b, &l.stage.Paths[i])
	}
	for _, e := range in.Enrollments {
		fmt.Fprintf(&b, "enrollment %s v%d %s since %s previous %v\n", e.PathID, e.PathVersion, e.State, short(e.EnrollTime), lines(e.PreviousPercent))
	}
	for i := range in.Awards {
		a := &in.Awards[i]
		fmt.Fprintf(&b, "award %s %s number %d at %s revoked %s, entries %d to %d\n",
			a.PathID, a.MilestoneID, a.Number, short(a.AwardTime), short(a.RevokeTime), a.FromSequence, a.ToSequence)
	}
	for i := range in.Log {
		tellEntry(&b, &in.Log[i], in.LearnerID)
	}
	return b.String()
}

// short is a time as precise as it is, "-" for none.
func short(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func tellModule(b *strings.Builder, m *progress.Module) {
	fmt.Fprintf(b, "module %s %s", m.ID, m.State)
	for _, s := range m.Archives {
		fmt.Fprintf(b, " (archived %s sunset %s restored %s)", short(s.ArchiveTime), short(s.SunsetTime), short(s.RestoreTime))
	}
	b.WriteString("\n")
	for i := range m.Versions {
		v := &m.Versions[i]
		fmt.Fprintf(b, "  v%d published %s effective %s", v.Number, short(v.PublishTime), short(v.EffectiveTime))
		if v.Material {
			fmt.Fprintf(b, " MATERIAL all %t", v.RetakeAll)
		}
		if p := v.Currency; p != nil {
			fmt.Fprintf(b, " policy %s window %s grace %s %s %02d-%02d", p.Period, p.Window, p.Grace, p.Basis, p.FixedMonth, p.FixedDay)
		}
		fmt.Fprintf(b, " credits %v prerequisites %v", v.Credits, v.Prerequisites)
		for _, u := range v.Units {
			fmt.Fprintf(b, " (%s %s required %t changed %t weight %v)", u.ID, u.MoveOn, u.Required, u.Changed, u.Weight)
		}
		b.WriteString("\n")
	}
}

func tellPath(b *strings.Builder, p *progress.Path) {
	for i := range p.Versions {
		v := &p.Versions[i]
		fmt.Fprintf(b, "path %s v%d published %s mandatory %s", p.ID, v.Number, short(v.PublishTime), short(v.MandateTime))
		for _, m := range v.Milestones {
			fmt.Fprintf(b, " %s:", m.ID)
			for _, g := range m.Groups {
				k := len(g.ModuleIDs)
				if g.RequiredCount != nil {
					k = *g.RequiredCount
				}
				fmt.Fprintf(b, " %d of %v choice %t", k, g.ModuleIDs, g.RequiredCount != nil)
			}
		}
		b.WriteString("\n")
	}
}

func tellEntry(b *strings.Builder, r *progress.Record, learner string) {
	fmt.Fprintf(b, "%d %s received %s by the learner %t", r.Sequence, r.Type, short(r.ReceivedAt), r.ActorID == learner)
	if e := &r.Event; r.Type == progress.RecordEvent {
		fmt.Fprintf(b, " %s v%d %s %s effective %s in %q occurred %s id %s", e.ModuleID, e.ModuleVersion, e.UnitID, e.Verb,
			short(r.EffectiveAt), r.Zone, short(e.OccurredAt), e.ID)
		if e.VoidsEventID != "" {
			fmt.Fprintf(b, " voids %s", e.VoidsEventID)
		}
	}
	b.WriteString("\n")
}
