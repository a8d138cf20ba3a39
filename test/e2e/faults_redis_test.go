//go:build realservers

package e2e

import (
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// redisFaults are those of a single Redis.
func redisFaults(server *testenv.MortalRedis) []scenario {
	return []scenario{
		{name: "Redis killed", flawless: true, play: func(tr *trial, r *row) {
			server.Kill()
			tr.goOn(r)
			r.repaired = testenv.Now()
			server.Start(tr.t)
		}},
		{name: "Redis paused", flawless: true, play: func(tr *trial, r *row) {
			server.Pause(tr.t)
			tr.goOn(r)
			r.repaired = testenv.Now()
			server.Resume(tr.t)
		}},
		{name: "Redis flushed", flawless: true, play: func(tr *trial, _ *row) { server.Flush(tr.t) }},
	}
}
