package rpc

import (
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"
)

func TestPreconditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		headers []string
		field   string
		match   bool
	}{
		{nil, "", true},
		{nil, "new", true},
		{nil, `"new"`, true},
		{nil, "old", false},
		{[]string{`"old"`}, "", false},
		{[]string{"*"}, "", true},
		{[]string{`"old", W/"new"`}, "", true},
		{[]string{"new"}, "", true},
		{[]string{`"new-gzip"`}, "", true},
		{[]string{`"new-zstd"`}, "", true},
		{[]string{`"new-published"`}, "", false},
		{[]string{`"new"`, `"old"`}, "", false},
		{[]string{`"new"`}, "old", false},
		{[]string{`"old"`}, "new", false},
		{[]string{`"old"`, "*"}, "new", false},
		{[]string{""}, "", false},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"if-match": c.headers})
		if got := PreconditionsOf(ctx, c.field).Match("new"); got != c.match {
			t.Errorf("If-Match %q and the field %q match: %t, want %t", c.headers, c.field, got, c.match)
		}
	}
}

func TestFindEtag(t *testing.T) {
	t.Parallel()
	if item, found := FindEtag(`"a", W/"b-gzip", "c"`, `"b"`); item != `W/"b-gzip"` || !found {
		t.Errorf("found %q, %t", item, found)
	}
	for _, list := range []string{"", `"a"`, `"b" "c"`, ","} {
		if item, found := FindEtag(list, `"b"`); found {
			t.Errorf("found %q in %q", item, list)
		}
	}
}

// TestPreconditionsOfAppends proves that the metadata is not written to.
func TestPreconditionsOfAppends(t *testing.T) {
	t.Parallel()
	headers := append(make([]string, 0, 2), "a")
	ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"if-match": headers})
	one, two := PreconditionsOf(ctx, "one"), PreconditionsOf(ctx, "two")
	if !slices.Equal(one, []string{"a", "one"}) || !slices.Equal(two, []string{"a", "two"}) {
		t.Errorf("preconditions %q and %q", one, two)
	}
}
