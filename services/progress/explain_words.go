package progress

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/zone"
)

// words are the sentences of explanations, for learners and for those who help them: plain
// English, dates in the learner's time zone, and of people nothing but ids.
type words struct{ loc *time.Location }

func (w *View) words() words { return words{zone.Of(w.learner.Head.TimeZone)} }

// The sentences that are always the same.
const (
	sayOpen            = "It is open, and nothing in it has counted yet."
	sayKeepsPercent    = "While it is learned anew the module stays complete."
	sayNothingRequired = "None of its units is required, so there is no percent."
	sayNotNeeded       = "It is not needed: the module counts as done without it."
	sayOptional        = "It is optional, and has no part in the percent."
	sayPartlyWaived    = "At least one of its units was waived."
	sayCountedOnce     = "A module that several milestones ask for counts once."
)

// sentences joins those that say something.
func sentences(all ...string) string {
	var said []string
	for _, s := range all {
		if s != "" {
			said = append(said, s)
		}
	}
	return strings.Join(said, " ")
}

// when is the sentence where it applies.
func when(applies bool, sentence string) string {
	if applies {
		return sentence
	}
	return ""
}

func (w words) date(t time.Time) string { return t.In(w.loc).Format("2 January 2006") }

// share is a score or a progress as a percentage, never rounded up: 79.99 % is not the 80 % that are asked for.
func (w words) share(f float64) string {
	return strconv.FormatFloat(math.Floor(f*1e4+1e-6)/100, 'f', -1, 64) + " %"
}

// list is "a", "a and b" or "a, b and c".
func (w words) list(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

func (w words) quoted(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = "“" + s + "”"
	}
	return w.list(quoted)
}

// reason quotes a reason that was given; its full stop ends the sentence.
func (w words) reason(text string) string {
	if text = strings.TrimSpace(text); strings.HasSuffix(text, ".") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "?") {
		return "“" + text + "”"
	}
	return "“" + text + "”."
}

// isDone is "1 of 2 required modules is done".
func (w words) isDone(done, of int, noun string) string {
	if of == 1 {
		return fmt.Sprintf("%d of 1 %s is done", done, noun)
	}
	return fmt.Sprintf("%d of %d %ss %s done", done, of, noun, isAre(done))
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func (w words) percent(percent int, exact bool) string {
	if exact {
		return fmt.Sprintf("%d %%.", percent)
	}
	return fmt.Sprintf("%d %%, rounded down.", percent)
}

// Of a path, a milestone and a group.

func (w words) modules(t Tally) string {
	if t.Required == 0 {
		return "Nothing is required, so there is no percent."
	}
	return w.isDone(t.Completed, t.Required, "required module") + ": " + w.percent(*t.Percent(), 100*t.Completed%t.Required == 0)
}

func (w words) fall(from *int, why *PercentChange) string {
	if from == nil || why == nil {
		return ""
	}
	return fmt.Sprintf("Before it fell it was %d %%. %s", *from, why.Text())
}

// Text returns the reason as a sentence.
func (c *PercentChange) Text() string {
	switch c.Code {
	case ChangeVoided:
		return "An event was voided."
	case ChangeUpgraded:
		return fmt.Sprintf("The path was upgraded to version %d.", c.PathVersion)
	case ChangeMandated:
		return fmt.Sprintf("Version %d of the path became mandatory.", c.PathVersion)
	case ChangeMaterial:
		return fmt.Sprintf("Version %d of the module came into effect, and asks for some of it to be learned anew.", c.ModuleVersion)
	case ChangeRestored:
		return fmt.Sprintf("Module %s was restored from the archive, and is asked for again.", c.ModuleID)
	case ChangeBegun:
		return fmt.Sprintf("Module %s turned out to have been begun before it was archived, so it can still be finished.", c.ModuleID)
	case ChangeRules:
		return "The rules by which progress is counted were corrected."
	}
	return ""
}

func (w words) award(a *Award, t Tally) string {
	switch {
	case a == nil:
		return ""
	case a.Revoked():
		return fmt.Sprintf("Its award was taken back on %s: %s", w.date(a.RevokeTime), w.reason(a.RevokeReason))
	case a.Provisional:
		return fmt.Sprintf("Its award, as of %s, is provisional until the change of the catalog that it rests on is an hour old.", w.date(a.AwardTime))
	case t.done():
		return fmt.Sprintf("Its award was earned on %s.", w.date(a.AwardTime))
	default:
		return fmt.Sprintf("Its award was earned on %s, and stays although not all of it is done any more.", w.date(a.AwardTime))
	}
}

// group returns what a group asks for, what of that other groups of the milestone count already, and what is done.
func (w words) group(g *Group, share Tally, have, left int) string {
	n, asked := left, left
	ask := fmt.Sprintf("All %d modules are asked for", n)
	switch {
	case n == 0:
		return "All of its modules are excused: it asks for nothing."
	case n == 1 && len(g.ModuleIDs) == 1:
		ask = "Its one module is asked for"
	case n == 1:
		ask = "Its one module that is not excused is asked for"
	case g.RequiredCount != nil:
		asked = min(*g.RequiredCount, left)
		ask = fmt.Sprintf("Any %d of %d modules %s asked for", asked, n, isAre(asked))
	}
	switch elsewhere := asked - share.Required; {
	case share.Required == 0:
		return ask + ", and other groups count that already."
	case elsewhere > 0:
		return fmt.Sprintf("%s, and other groups count %d of that already; of what is left %s.",
			ask, elsewhere, w.isDone(share.Completed, share.Required, "module"))
	case have > share.Completed:
		return fmt.Sprintf("%s: %s, and %d %s enough.", ask, w.isDone(have, n, "module"), asked, isAre(asked))
	default:
		return fmt.Sprintf("%s: %s.", ask, w.isDone(share.Completed, share.Required, "module"))
	}
}

// Of a module: where it stands.

func (w words) locked(titles []string) string {
	return fmt.Sprintf("It is locked: first %s must be done.", w.quoted(titles))
}

func (w words) complete(at time.Time, version int) string {
	return fmt.Sprintf("It was completed on %s, on version %d.", w.date(at), version)
}

func (w words) waivedModule(at time.Time, r *Record) string {
	if r == nil {
		return fmt.Sprintf("It was waived on %s.", w.date(at))
	}
	return w.waived(r)
}

func (w words) equivalent(at time.Time, titles []string) string {
	return fmt.Sprintf("It counts as done since %s: having done %s stands for all of it.", w.date(at), w.quoted(titles))
}

func (w words) excused(e *Excused) string {
	if e.Reason == ExcusedSunset {
		return fmt.Sprintf("It was archived, could be finished until %s, and is not asked for any more.", w.date(e.Since))
	}
	return fmt.Sprintf("It was archived on %s before it was begun, so it is not asked for.", w.date(e.Since))
}

func (w words) archivedBegun(sunset time.Time) string {
	if sunset.IsZero() {
		return "It is archived; learners who have begun it may finish it."
	}
	return fmt.Sprintf("It is archived; learners who have begun it may finish it until %s.", w.date(sunset))
}

// Of a module: the cycle and the version.

func (w words) firstCycle(at time.Time) string {
	return fmt.Sprintf("Cycle 1 began on %s with the first event that counts.", w.date(at))
}

func (w words) renewal(cycle int, at, open time.Time) string {
	return fmt.Sprintf("Cycle %d began on %s to renew it, which is possible from %s on.", cycle, w.date(at), w.date(open))
}

func (w words) repeated(cycle int, at, open time.Time) string {
	return fmt.Sprintf("Cycle %d began on %s: all of it was done again before its renewal would have been possible on %s, and that is a completion of its own.",
		cycle, w.date(at), w.date(open))
}

func (w words) aside(at, open, now time.Time) string {
	if !now.Before(open) {
		return fmt.Sprintf("Some of it has been done again since %s, before its renewal was possible on %s: that counts toward the renewal now.",
			w.date(at), w.date(open))
	}
	return fmt.Sprintf("Some of it has been done again since %s, before its renewal is possible: that counts from %s on, or once all of it is done again.",
		w.date(at), w.date(open))
}

func (w words) renewalEarly(open time.Time) string {
	return fmt.Sprintf("It was too early for the renewal: it counts toward that from %s on.", w.date(open))
}

func (w words) lapsed(at, until time.Time) string {
	return fmt.Sprintf("What was done on %s counted toward this renewal until %s: in a renewal a unit counts for one period.", w.date(at), w.date(until))
}

func (w words) materialCycle(cycle int, at time.Time, version int) string {
	return fmt.Sprintf("Cycle %d began on %s, since version %d asks for some of it to be learned anew.", cycle, w.date(at), version)
}

func (w words) cycleComplete(cycle int, at time.Time, version int) string {
	return fmt.Sprintf("Cycle %d was completed on %s, on version %d.", cycle, w.date(at), version)
}

func (w words) staysOnVersion(version, newest int) string {
	return fmt.Sprintf("What was completed on version %d stays on it, though version %d is newer.", version, newest)
}

func (w words) tookOver(version int, at time.Time, newest int) string {
	s := fmt.Sprintf("Version %d took over on %s: what was not complete by then is to be completed on it", version, w.date(at))
	if newest > version {
		s += fmt.Sprintf(", or on a newer one up to version %d", newest)
	}
	return s + "."
}

func (w words) begunOn(version, newest int) string {
	return fmt.Sprintf("It was begun on version %d and may be finished on it, though version %d is newer.", version, newest)
}

func (w words) onNewest(version int) string {
	return fmt.Sprintf("It is to be completed on version %d, the newest.", version)
}

// unitSum is how the percent of a module adds up; weights are in millionths.
type unitSum struct {
	done, required     int
	doneWeight, weight int64
	// uneven reports whether the weights differ: counting units alone does not give the percent then.
	uneven  bool
	percent int
}

func (w words) units(s unitSum) string {
	out := w.isDone(s.done, s.required, "required unit")
	if s.uneven {
		out += fmt.Sprintf(", with weight %s of %s", w.weight(s.doneWeight), w.weight(s.weight))
	}
	return out + ": " + w.percent(s.percent, int64(s.percent)*s.weight == 100*s.doneWeight)
}

func (w words) weight(micros int64) string {
	return strconv.FormatFloat(float64(micros)/1e6, 'f', -1, 64)
}

// Of a module: whether its completion is up to date.

func (w words) currency(c *Currency) string {
	if c.ExpireTime.IsZero() {
		return "Its completion does not expire."
	}
	expire := w.date(c.ExpireTime)
	switch c.State {
	case CurrencyDueSoon:
		return fmt.Sprintf("It is good until %s, and can be renewed now.", expire)
	case CurrencyGrace:
		return fmt.Sprintf("It was good until %s; the time to renew it late ends on %s.", expire, w.date(c.GraceEndTime))
	case CurrencyExpired:
		return fmt.Sprintf("It was good until %s and wants renewing, which lowers no percent.", expire)
	case CurrencyCurrent, CurrencySuperseded:
	}
	return fmt.Sprintf("It is good until %s, and can be renewed from %s on.", expire, w.date(c.WindowOpenTime))
}

func (w words) superseded(version int, at time.Time) string {
	return fmt.Sprintf("It has not been up to date since %s, when version %d took its place; that lowers no percent.", w.date(at), version)
}

// Of a unit.

func (w words) done(by []*Record) string {
	var parts []string
	for _, r := range by {
		switch {
		case r.Event.Verb != Passed:
			parts = append(parts, "completed on "+w.date(r.EffectiveAt))
		case r.Event.Score != nil:
			parts = append(parts, fmt.Sprintf("passed on %s with %s", w.date(r.EffectiveAt), w.share(*r.Event.Score)))
		default:
			parts = append(parts, "passed on "+w.date(r.EffectiveAt))
		}
	}
	if len(parts) == 0 {
		return "It is done."
	}
	return fmt.Sprintf("It was %s.", w.list(parts))
}

func (w words) ruleOf(version int) string {
	return fmt.Sprintf("Version %d asks for no more.", version)
}

func (w words) waived(r *Record) string {
	return fmt.Sprintf("It was waived on %s by %s: %s", w.date(r.EffectiveAt), r.ActorID, w.reason(r.Event.Reason))
}

func (w words) waivedWith(r *Record) string {
	return fmt.Sprintf("The whole module was waived on %s by %s: %s", w.date(r.EffectiveAt), r.ActorID, w.reason(r.Event.Reason))
}

func (w words) carried(from, to int) string {
	return fmt.Sprintf("That was on version %d and counts on version %d too: nothing between them asks for this unit to be learned anew.", from, to)
}

// needs returns what a unit waits for.
func (w words) needs(u *Unit, completed, passed bool) string {
	pass := "passed"
	if u.MasteryScore != nil {
		pass += " with at least " + w.share(*u.MasteryScore)
	}
	switch u.MoveOn {
	case MoveOnPassed:
		return fmt.Sprintf("It must be %s.", pass)
	case MoveOnCompletedOrPassed:
		return fmt.Sprintf("It must be completed, or %s.", pass)
	case MoveOnCompletedAndPassed:
		switch {
		case completed:
			return fmt.Sprintf("It is completed, and must be %s as well.", pass)
		case passed:
			return "It is passed, and must be completed as well."
		}
		return fmt.Sprintf("It must be completed, and %s.", pass)
	case MoveOnNotApplicable:
		return "Nothing in it has to be done."
	case MoveOnCompleted:
	}
	return "It must be completed."
}

// soFar returns how far a unit is that is not done.
func (w words) soFar(u *UnitProgress, events []*Record) string {
	if len(events) == 0 {
		return "Nothing of it has counted yet."
	}
	tries := ""
	if u.Attempts > 0 {
		tries = fmt.Sprintf(" in %d attempt", u.Attempts)
		if u.Attempts > 1 {
			tries += "s"
		}
	}
	switch {
	case u.Score != nil:
		return fmt.Sprintf("The best score so far is %s%s.", w.share(*u.Score), tries)
	case u.Attempts > 0:
		return fmt.Sprintf("It was tried%s, without a score.", tries)
	case u.Progress != nil:
		return fmt.Sprintf("It was begun on %s, and %s of it is done.", w.date(events[0].EffectiveAt), w.share(*u.Progress))
	default:
		return fmt.Sprintf("It was begun on %s.", w.date(events[0].EffectiveAt))
	}
}

func (w words) relearn(from, to int, by *ModuleVersion) string {
	switch {
	case by == nil:
		return fmt.Sprintf("What was done on version %d does not count on version %d.", from, to)
	case by.RetakeAll:
		return fmt.Sprintf("What was done on version %d does not count on version %d: version %d asks for everything anew.", from, to, by.Number)
	default:
		return fmt.Sprintf("What was done on version %d does not count on version %d: version %d changed this unit.", from, to, by.Number)
	}
}

func (w words) ahead(from, to int) string {
	return fmt.Sprintf("What was done on version %d does not count on version %d, which is the one that counts now.", from, to)
}

func (w words) aheadUntil(from int, at time.Time) string {
	return fmt.Sprintf("What was done on version %d counts from %s on, when that version takes over.", from, w.date(at))
}

// Of an event.

// event returns what an event that counts did.
func (w words) event(r *Record) string {
	e := &r.Event
	if e.Verb == Waived {
		return w.waived(r)
	}
	said := map[Verb]string{
		Initialized: "begun", Progressed: "continued", Completed: "completed", Passed: "passed", Failed: "tried and not passed",
	}[e.Verb]
	out := fmt.Sprintf("It was %s on %s", said, w.date(r.EffectiveAt))
	switch {
	case e.Score != nil:
		out += " with " + w.share(*e.Score)
	case e.Verb == Progressed && e.Progress != nil:
		out += ", up to " + w.share(*e.Progress)
	}
	if by := r.LateBy(); by != 0 {
		out += fmt.Sprintf(", and reported %d days later", int(by.Hours()/24))
	}
	if r.ActorID != r.LearnerID {
		return fmt.Sprintf("%s, recorded by %s: %s", out, r.ActorID, w.reason(e.Reason))
	}
	return out + "."
}

func (w words) voided(void *Record) string {
	return fmt.Sprintf("It was voided on %s by %s: %s", w.date(void.ReceivedAt), void.ActorID, w.reason(void.Event.Reason))
}

func (w words) archivedNotBegun(at time.Time) string {
	return fmt.Sprintf("The module was archived on %s, and nothing in it had counted before that.", w.date(at))
}

func (w words) afterSunset(at time.Time) string {
	return fmt.Sprintf("The module is archived and could be finished until %s; this came later.", w.date(at))
}

func (w words) earlierCycle(cycle, current int) string {
	return fmt.Sprintf("It counts in cycle %d; the units are those of cycle %d.", cycle, current)
}

func (w words) noSuchUnit(from, on int) string {
	return fmt.Sprintf("It is about a unit of version %d that version %d does not have.", from, on)
}
