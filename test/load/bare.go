package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	_ "modernc.org/sqlite" // the same driver as ours
)

// bareEvent is all that the bare handler knows of an event.
type bareEvent struct {
	EventID    string    `json:"eventId"`
	ModuleID   string    `json:"moduleId"`
	UnitID     string    `json:"unitId"`
	Verb       string    `json:"verb"`
	OccurredAt time.Time `json:"occurredAt"`
}

// outline is the path that progress is asked about, as the bare handler is given it.
type outline struct {
	Milestones []outlineMilestone `json:"milestones"`
}

type outlineMilestone struct {
	ID      string          `json:"id"`
	Title   string          `json:"title"`
	Modules []outlineModule `json:"modules"`
}

type outlineModule struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	Units []string `json:"units"`
}

// bareResponse is what it returns: the same document as ours, as far as adding up rows goes.
type bareResponse struct {
	Percent    int             `json:"percent"`
	Milestones []bareMilestone `json:"milestones"`
}

type bareMilestone struct {
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Percent int          `json:"percent"`
	Modules []bareModule `json:"modules"`
}

type bareModule struct {
	ModuleID  string   `json:"moduleId"`
	Title     string   `json:"title"`
	Version   int      `json:"version"`
	State     string   `json:"state"`
	Percent   int      `json:"percent"`
	BlockedBy []string `json:"blockedBy"`
}

// serveBare serves the bare handler until it is killed.
func serveBare(ctx context.Context, address, file, pathFile string) error {
	text, err := os.ReadFile(pathFile)
	if err != nil {
		return err
	}
	path := new(outline)
	if err := json.Unmarshal(text, path); err != nil {
		return err
	}
	const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
	write, err := sql.Open("sqlite", file+pragmas+"&_pragma=cache_size(-16384)")
	if err != nil {
		return err
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", file+pragmas+"&_pragma=cache_size(-4096)")
	if err != nil {
		return err
	}
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(4)
	const schema = `CREATE TABLE event (learner TEXT, id TEXT, module TEXT, unit TEXT, verb TEXT, at INTEGER, PRIMARY KEY (learner, id)) WITHOUT ROWID`
	if _, err := write.ExecContext(ctx, schema); err != nil {
		return err
	}
	insert, err := write.PrepareContext(ctx, `INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	query, err := read.PrepareContext(ctx, `SELECT module, unit, at FROM event WHERE learner = ? AND verb = 'COMPLETED'`)
	if err != nil {
		return err
	}
	s := &http.Server{Addr: address, Handler: bareHandler(path, insert, query), ReadHeaderTimeout: time.Minute}
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func bareHandler(path *outline, insert, query *sql.Stmt) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{learner}/events", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Events []bareEvent `json:"events"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, e := range body.Events {
			if _, err := insert.ExecContext(r.Context(), r.PathValue("learner"), e.EventID, e.ModuleID, e.UnitID, e.Verb, e.OccurredAt.UnixMicro()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"results": []map[string]string{{"eventId": body.Events[0].EventID, "status": "ACCEPTED"}}})
	})
	mux.HandleFunc("GET /{learner}/progress", func(w http.ResponseWriter, r *http.Request) {
		answer, err := bareProgress(r.Context(), query, path, r.PathValue("learner"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
	return mux
}

// bareProgress adds up a learner's completed units by module and milestone.
func bareProgress(ctx context.Context, query *sql.Stmt, path *outline, learner string) (*bareResponse, error) {
	rows, err := query.QueryContext(ctx, learner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	done := map[target]bool{}
	for rows.Next() {
		var t target
		var at int64
		if err := rows.Scan(&t.module, &t.unit, &at); err != nil {
			return nil, err
		}
		done[t] = true
	}
	answer := new(bareResponse)
	modules, complete := 0, 0
	for _, m := range path.Milestones {
		line := bareMilestone{ID: m.ID, Title: m.Title}
		for _, mod := range m.Modules {
			b := bareModule{ModuleID: mod.ID, Title: mod.Title, Version: 1, State: "AVAILABLE", BlockedBy: []string{}}
			for _, u := range mod.Units {
				if done[target{mod.ID, u}] {
					b.Percent += 100
				}
			}
			if b.Percent /= max(len(mod.Units), 1); b.Percent == 100 {
				b.State = "COMPLETED"
				complete++
				line.Percent += 100
			}
			modules++
			line.Modules = append(line.Modules, b)
		}
		line.Percent /= max(len(m.Modules), 1)
		answer.Milestones = append(answer.Milestones, line)
	}
	answer.Percent = 100 * complete / max(modules, 1)
	return answer, rows.Err()
}
