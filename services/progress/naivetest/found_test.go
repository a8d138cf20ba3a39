package naivetest_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/naivetest"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// did is an event of a module; an admin sends waivers.
func did(module string, version int, unit string, verb progress.Verb, when string) naivetest.Sent {
	e := progress.Event{
		ID:       uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %d %s %s %s", module, version, unit, verb, when)).String(),
		ModuleID: module, ModuleVersion: version, UnitID: unit, Verb: verb, OccurredAt: at(when),
	}
	if verb == progress.Waived {
		e.Reason = "reason"
	}
	return naivetest.Sent{Event: e, Admin: verb == progress.Waived}
}

func module(id string, versions ...progress.ModuleVersion) progress.Module {
	return progress.Module{ID: id, State: progress.ModuleActive, Versions: versions}
}

// with is the version with a policy and with credits.
func with(v progress.ModuleVersion, p *progress.CurrencyPolicy, credits ...[]string) progress.ModuleVersion {
	v.Currency, v.Credits = p, credits
	return v
}

func same(u progress.Unit) progress.Unit {
	u.Changed = false
	return u
}

// Small worlds in which the service once said something else than the naive rules.
func TestWorldsThatDiffered(t *testing.T) {
	t.Parallel()
	yearly := policy(progress.BasisCompletion, "P1Y", "P30D", "P0D")
	both := unit("u")
	both.MoveOn = progress.MoveOnCompletedAndPassed
	for name, c := range map[string]struct {
		modules []progress.Module
		events  []naivetest.Sent
	}{
		"what only an equivalence stands for is due": {
			[]progress.Module{module("a", version(1, "2018-01-01", unit("u"))), module("b", with(version(1, "2018-01-01", unit("u")), yearly, []string{"a"}))},
			[]naivetest.Sent{did("a", 1, "u", progress.Completed, "2019-01-01")},
		},
		"a group is the same in another order": {
			[]progress.Module{
				module("a", version(1, "2018-01-01", unit("u"))), module("b", version(1, "2018-01-01", unit("u"))),
				module("c", with(version(1, "2018-01-01", unit("u")), yearly, []string{"a", "b"}),
					with(version(2, "2018-01-01T00:30Z", same(unit("u"))), nil, []string{"b", "a"})),
			},
			[]naivetest.Sent{did("a", 1, "u", progress.Completed, "2018-01-02"), did("b", 1, "u", progress.Completed, "2018-01-02")},
		},
		"learned on a MATERIAL version that no event names": {
			[]progress.Module{module("a", version(1, "2018-01-01", unit("u")), material(version(2, "2018-08-01", unit("u")), false),
				version(3, "2018-09-01", same(unit("u")), unit("v")))},
			[]naivetest.Sent{did("a", 3, "u", progress.Completed, "2018-10-01")},
		},
		"a unit done by the rule of another version": {
			[]progress.Module{module("a", version(1, "2018-01-01", unit("u"), unit("v")), version(2, "2018-08-01", both, unit("w")))},
			[]naivetest.Sent{
				did("a", 1, "v", progress.Completed, "2018-03-01"), did("a", 2, "w", progress.Completed, "2018-08-02"),
				did("a", 1, "u", progress.Completed, "2018-08-03"), did("a", 1, "u", progress.Passed, "2018-08-04"),
			},
		},
		"learning of an outdated version that is gathered early": {
			[]progress.Module{module("a", with(version(1, "2018-01-01", unit("u"), unit("v")), yearly),
				with(material(version(2, "2019-06-01", unit("u"), unit("v")), true), yearly))},
			[]naivetest.Sent{
				did("a", 1, "u", progress.Completed, "2019-01-01"), did("a", 1, "v", progress.Completed, "2019-01-01"),
				did("a", 1, "u", progress.Completed, "2019-03-01"), did("a", 1, "v", progress.Initialized, "2020-03-01"),
			},
		},
		"credit that ran out in a renewal, and a MATERIAL version": {
			[]progress.Module{module("a", with(version(1, "2018-01-01", unit("u"), unit("v")), yearly), with(version(2, "2018-01-02", unit("u")), yearly),
				material(version(3, "2021-06-01", same(unit("u")), same(unit("v"))), false))},
			[]naivetest.Sent{
				did("a", 1, "u", progress.Completed, "2018-02-01"), did("a", 1, "v", progress.Completed, "2018-02-01"),
				did("a", 1, "v", progress.Completed, "2019-02-01"), did("a", 2, "u", progress.Completed, "2020-03-01"),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := naivetest.World{Start: at("2024-01-01"), Catalog: naivetest.Stage{Modules: c.modules}}
			l := beginLife(t, rigtest.NewRig(t, nil, nil), w)
			for _, e := range c.events {
				l.do(naivetest.Step{At: at("2024-06-01"), Do: naivetest.Send{Events: []naivetest.Sent{e}}})
			}
			l.agree(true)
		})
	}
}
