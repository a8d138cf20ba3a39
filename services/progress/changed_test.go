package progress_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// A unit has changed where it is new, or differs from the one of the same id in the version before: by
// their digests, or, where the one before was read without a digest, by what progress knows of both.
func TestUnitsAreComparedWithTheVersionBefore(t *testing.T) {
	t.Parallel()
	digested := func(id, digest string) progress.Unit {
		u := unit(id)
		u.Digest = digest
		return u
	}
	retitled := unit("u")
	retitled.Title = "Another title"
	before := version(1, day0, digested("same", "1"), digested("other", "1"), unit("u"), unit("undigested"))
	for name, c := range map[string]struct {
		before *progress.ModuleVersion
		Unit   progress.Unit
		want   bool
	}{
		"of a first version":                   {nil, unit("same"), true},
		"new":                                  {&before, digested("new", "1"), true},
		"as it was":                            {&before, digested("same", "1"), false},
		"other in what progress does not know": {&before, digested("other", "2"), true},
		"as it was, without a digest before":   {&before, digested("undigested", "2"), false},
		"other, without a digest before":       {&before, retitled, true},
	} {
		for _, marked := range []bool{false, true} { // whatever was said before
			c.Unit.Changed = marked
			v := version(2, day(1), c.Unit)
			v.MarkChanged(c.before)
			if got := v.Units[0].Changed; got != c.want {
				t.Errorf("a unit that is %s: changed %v", name, got)
			}
		}
	}
}
