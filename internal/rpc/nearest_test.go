package rpc

import "testing"

func TestInstead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		known []string
		want  string
	}{
		{"etg", []string{"updateMask", "etag"}, "; did you mean etag?"},
		{"topics", []string{"topic", "level", "q"}, "; did you mean topic?"},
		{"moduelId", []string{"moduleId", "unitId"}, "; did you mean moduleId?"},
		{"PAGESIZE", []string{"pageSize"}, "; did you mean pageSize?"},
		{"sort", []string{"topic", "level"}, "; there are level, topic"},
		{"x", []string{"q"}, "; there are q"},
		{"", []string{"q"}, "; there are q"},
		{"dryRun", nil, "; there are none here"},
	} {
		if got := Instead(c.name, c.known); got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.name, c.known, got, c.want)
		}
	}
}
