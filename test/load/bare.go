package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
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
	path, err := loadOutline(pathFile)
	if err != nil {
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
	//nolint:sqlclosecheck // it lives as long as the process
	insert, err := write.PrepareContext(ctx, `INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	query, err := read.PrepareContext(ctx, `SELECT module, unit, at FROM event WHERE learner = ? AND verb = 'COMPLETED'`)
	if err != nil {
		return err
	}
	return serveHTTP(address, bareHandler(bareStore{
		record: func(ctx context.Context, learner string, e bareEvent) error {
			_, err := insert.ExecContext(ctx, learner, e.EventID, e.ModuleID, e.UnitID, e.Verb, e.OccurredAt.UnixMicro())
			return err
		},
		progress: func(ctx context.Context, learner string) (*bareResponse, error) {
			done, err := bareDone(ctx, query, learner)
			if err != nil {
				return nil, err
			}
			return path.progress(done), nil
		},
	}))
}

// serveHTTP serves until the process is ended.
func serveHTTP(address string, handler http.Handler) error {
	s := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: time.Minute}
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bareStore is what a bare handler's two routes call.
type bareStore struct {
	record   func(ctx context.Context, learner string, e bareEvent) error
	progress func(ctx context.Context, learner string) (*bareResponse, error)
}

func bareHandler(store bareStore) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{learner}/events", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Events []bareEvent `json:"events"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Events) != 1 {
			http.Error(w, "want one event", http.StatusBadRequest)
			return
		}
		e := body.Events[0]
		if err := store.record(r.Context(), r.PathValue("learner"), e); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeBare(w, map[string]any{"results": []map[string]string{{"eventId": e.EventID, "status": "ACCEPTED"}}})
	})
	mux.HandleFunc("GET /{learner}/progress", func(w http.ResponseWriter, r *http.Request) {
		answer, err := store.progress(r.Context(), r.PathValue("learner"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeBare(w, answer)
	})
	return mux
}

func writeBare(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) //nolint:errchkjson // strings and numbers; and a client that has gone needs no answer
}

// bareDone reads a learner's completed units.
func bareDone(ctx context.Context, query *sql.Stmt, learner string) (map[target]bool, error) {
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
	return done, rows.Err()
}

// progress adds up completed units by module and milestone.
func (o *outline) progress(done map[target]bool) *bareResponse {
	answer := new(bareResponse)
	modules, complete := 0, 0
	for _, m := range o.Milestones {
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
	return answer
}
