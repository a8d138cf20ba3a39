package page_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/page"
)

func token(t testing.TB, list string, asked ...any) page.Token {
	t.Helper()
	made, err := page.NewToken(list, asked...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// wantBad checks that an error is the one for page tokens.
func wantBad(t *testing.T, what string, err error) {
	t.Helper()
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind != errs.Invalid || e.Reason != errs.ReasonBadPageToken || len(e.Violations) != 1 ||
		e.Violations[0].Field != "pageToken" || e.Violations[0].Reason != errs.ReasonBadPageToken {
		t.Errorf("%s: %v", what, err)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int]int{-1: 50, 0: 50, 1: 1, 199: 199, 200: 200, 201: 200, 1 << 30: 200} {
		if got := page.Size(asked); got != want {
			t.Errorf("Size(%d) = %d, want %d", asked, got, want)
		}
	}
}

// TestTokenReturnsItsKeys holds for all keys that a list can have, however long the texts are.
func TestTokenReturnsItsKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		made := token(t, "modules", rapid.String().Draw(rt, "asked"))
		keys := []string{
			page.Key(strings.ReplaceAll(rapid.String().Draw(rt, "text"), "\x00", "")),
			rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,62}`).Draw(rt, "id"),
		}
		text := made.After(keys...)
		got, err := made.Read(text, 2)
		if err != nil || !slices.Equal(got, keys) || len(text) > 512 {
			rt.Fatalf("%q comes back as %q, %v, from %d bytes", keys, got, err, len(text))
		}
	})
	longest := token(t, "modules").After(strings.Repeat("\U0001F600", page.KeyLength), strings.Repeat("a", 63))
	if len(longest) > 512 {
		t.Errorf("a token has %d bytes", len(longest))
	}
}

// TestCutReturnsEachItemOnce holds while items come and go between the pages.
func TestCutReturnsEachItemOnce(t *testing.T) {
	t.Parallel()
	made := token(t, "topics")
	rapid.Check(t, func(rt *rapid.T) {
		drawn := func(name string) []string {
			all := rapid.SliceOf(rapid.StringMatching(`[a-e]{1,3}`)).Draw(rt, name)
			slices.Sort(all)
			return slices.Compact(all)
		}
		always, size := drawn("always"), rapid.IntRange(1, 5).Draw(rt, "size")
		var got []string
		for text := ""; ; {
			now := slices.Compact(slices.Sorted(slices.Values(slices.Concat(always, drawn("sometimes")))))
			after, err := made.ReadKey(text)
			if err != nil {
				rt.Fatal(err)
			}
			cut, next := page.Cut(made, now, after, size, func(s string) string { return s })
			if len(cut) > size || len(cut) < size && next != "" {
				rt.Fatalf("a page of %d has %d items, and then %q", size, len(cut), next)
			}
			got = append(got, cut...)
			if text = next; text == "" {
				break
			}
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			rt.Fatalf("got %v", got)
		}
		for _, item := range always {
			if !slices.Contains(got, item) {
				rt.Fatalf("%s is missing in %v", item, got)
			}
		}
	})
}

func TestNoTokenHasNoKeys(t *testing.T) {
	t.Parallel()
	if keys, err := token(t, "modules").Read("", 1); keys != nil || err != nil {
		t.Errorf("got %q, %v", keys, err)
	}
}

func TestTokensOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	mine := token(t, "modules", "hipaa", 1)
	good := mine.After("ab")
	if last := good[len(good)-1:]; last != "g" {
		t.Fatalf("the token ends in %q: choose another key, so that its last character has loose bits", last)
	}
	raw := func(keys string) string { return base64.RawURLEncoding.EncodeToString(append(mine[:], keys...)) }
	for what, text := range map[string]string{
		"another list":      token(t, "paths", "hipaa", 1).After("a"),
		"another filter":    token(t, "modules", "hipaa", 2).After("a"),
		"no base64":         "not base64!",
		"padding":           good + "=",
		"loose bits":        good[:len(good)-1] + "h",
		"more bytes":        good + "AAAA",
		"too short":         good[:8],
		"no key":            raw(""),
		"two keys":          raw("a\x00b"),
		"invalid UTF-8":     raw("a\xff"),
		"too long":          raw(strings.Repeat("a", 600)),
		"another alphabet":  "+/" + good[2:],
		"white space":       " " + good,
		"a line in between": good[:4] + "\n" + good[4:],
	} {
		_, err := mine.Read(text, 1)
		wantBad(t, what, err)
	}
}

func FuzzRead(f *testing.F) {
	mine := token(f, "modules")
	f.Add(mine.After("a"))
	f.Add(mine.After("a\xff"))
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := mine.Read(text, 1)
		if err != nil {
			wantBad(t, text, err)
			return
		}
		if keys != nil && mine.After(keys...) != text {
			t.Errorf("%q is read as %q, whose token is another", text, keys)
		}
	})
}
