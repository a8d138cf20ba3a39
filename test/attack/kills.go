package main

import (
	"context"
)

// attackKills ends the program at once, over and over, while honest clients write, and starts it again.
func attackKills(ctx context.Context, w *world) error {
	for range w.dose(4, 38) {
		w.honest.mu.Lock()
		before := len(w.honest.took)
		w.honest.mu.Unlock()
		enough := before + 15 + w.dice.IntN(30)
		err := eventually(ctx, "honest clients are answered between two kills", func() bool {
			w.honest.mu.Lock()
			defer w.honest.mu.Unlock()
			return len(w.honest.took) >= enough
		})
		if err != nil {
			return err
		}
		w.kill()
		w.tally.add("kill")
		if err := w.start(ctx); err != nil {
			return err
		}
	}
	return nil
}
