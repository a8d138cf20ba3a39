package audit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
)

func TestNoted(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	noted, err := audit.ParseNoted("progress:12:" + hash)
	if err != nil || noted != (audit.Noted{Service: "progress", Head: audit.Head{Sequence: 12, Hash: hash}}) || noted.String() != "progress:12:"+hash {
		t.Errorf("%+v, %v", noted, err)
	}
	for _, text := range []string{
		"", "progress", "progress:12", ":12:" + hash, "progress:0:" + hash, "progress:-1:" + hash, "progress:+1:" + hash, "progress:01:" + hash,
		"progress:x:" + hash, "progress:99999999999999999999:" + hash, "progress:12:", "progress:12:" + hash[1:], "progress:12:" + hash + "0",
		"progress:12:" + strings.ToUpper(hash), "progress:12:g" + hash[1:], "progress:12:" + hash + ":", " progress:12:" + hash + " ",
	} {
		if noted, err := audit.ParseNoted(text); err == nil {
			t.Errorf("%q is read as %+v", text, noted)
		}
	}
	at := func(sequence int64, hash string) audit.Head { return audit.Head{Sequence: sequence, Hash: hash} }
	for name, c := range map[string]struct {
		err   error
		entry int64 // that is at fault; 0 for none
	}{
		"before":         {noted.Compare(at(11, "x")), 0},
		"there":          {noted.Compare(at(12, hash)), 0},
		"after":          {noted.Compare(at(13, "x")), 0},
		"another":        {noted.Compare(at(12, "x")), 12},
		"ends there":     {noted.End(at(12, hash)), 0},
		"ends after":     {noted.End(at(13, "x")), 0},
		"ends before":    {noted.End(at(10, "x")), 11},
		"stored":         {at(3, "x").Stored(at(3, "x")), 0},
		"stored another": {at(3, "x").Stored(at(3, "y")), 3},
		"stored before":  {at(3, "x").Stored(at(2, "x")), 3},
		"stored after":   {at(3, "x").Stored(at(5, "x")), 4},
		"empty":          {at(0, "").Stored(at(0, "")), 0},
	} {
		broken, ok := errors.AsType[*audit.BrokenError](c.err)
		if ok != (c.entry != 0) || ok && broken.Sequence != c.entry {
			t.Errorf("%s: %v, want entry %d at fault", name, c.err, c.entry)
		}
	}
}
