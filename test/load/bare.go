package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
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

// bareModule is a line of the bare handler's answer to a question about progress.
type bareModule struct {
	ModuleID string `json:"moduleId"`
	Done     int    `json:"done"`
}

// serveBare serves the bare handler until it is killed.
func serveBare(ctx context.Context, address, file string) error {
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
	defer insert.Close()
	query, err := read.PrepareContext(ctx, `SELECT module, unit, at FROM event WHERE learner = ? AND verb = 'COMPLETED'`)
	if err != nil {
		return err
	}
	defer query.Close()
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
		answer, err := bareProgress(r.Context(), query, r.PathValue("learner"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
	s := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Minute}
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bareProgress adds up a learner's completed units by module.
func bareProgress(ctx context.Context, query *sql.Stmt, learner string) (map[string]any, error) {
	rows, err := query.QueryContext(ctx, learner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var modules []bareModule
	at := map[string]int{}
	total := 0
	for rows.Next() {
		var module, unit string
		var when int64
		if err := rows.Scan(&module, &unit, &when); err != nil {
			return nil, err
		}
		i, ok := at[module]
		if !ok {
			i = len(modules)
			at[module] = i
			modules = append(modules, bareModule{ModuleID: strings.Clone(module)})
		}
		modules[i].Done++
		total++
	}
	return map[string]any{"percent": total, "modules": modules}, rows.Err()
}
