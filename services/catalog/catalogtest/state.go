package catalogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/preceptor-dev/preceptor/services/catalog"
)

// testState: a committed edit makes a state that never was, also of drafts that no revision tells of; reading and an
// edit that fails leave the state as it is.
func testState(t *testing.T, s catalog.Store) {
	ctx := t.Context()
	seen := map[string]bool{}
	state := func() string {
		t.Helper()
		name, err := s.State(ctx)
		must(t, err)
		return name
	}
	another := func(what string) {
		t.Helper()
		name := state()
		if seen[name] {
			t.Errorf("%s: the state is %q again", what, name)
		}
		seen[name] = true
		if _, err := s.Snapshot(ctx, 0); err != nil || state() != name {
			t.Errorf("%s: reading changes the state: %v", what, err)
		}
	}
	edit := func(f func(ctx context.Context, tx catalog.Tx) error) error { return s.Edit(ctx, f) }
	another("at first")
	draft := catalog.Module{ID: "m", State: catalog.StateDraft, Draft: &catalog.ModuleContent{Title: "M"}, Edits: 1, UpdateTime: start}
	must(t, edit(func(ctx context.Context, tx catalog.Tx) error { return tx.Modules().Put(ctx, draft) }))
	another("a draft")
	draft.Draft = &catalog.ModuleContent{Title: "N"}
	must(t, edit(func(ctx context.Context, tx catalog.Tx) error { return tx.Modules().Put(ctx, draft) }))
	another("the draft edited")
	was, failed := state(), errors.New("failed")
	err := edit(func(ctx context.Context, tx catalog.Tx) error {
		return errors.Join(tx.Modules().Delete(ctx, "m"), failed)
	})
	if !errors.Is(err, failed) || state() != was {
		t.Errorf("after an edit that failed (%v): %q, was %q", err, state(), was)
	}
	must(t, edit(func(ctx context.Context, tx catalog.Tx) error {
		_, err := tx.Announce(ctx, catalog.Change{Kind: catalog.KindModule, ID: "m", Action: catalog.ActionPublished, Time: start})
		return err
	}))
	another("a change that readers see")
	must(t, edit(func(ctx context.Context, tx catalog.Tx) error { return tx.Modules().Delete(ctx, "m") }))
	another("the draft discarded")
}
