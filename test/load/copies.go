package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
)

// openData opens progress's database in a data folder that no server uses. Commits do not wait for the disk.
func openData(data string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "progress.db")+
		"?_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)&_pragma=cache_size(-131072)&_pragma=temp_store(MEMORY)")
	if err == nil {
		db.SetMaxOpenConns(1) // the pairs are a temporary table of one connection
	}
	return db, err
}

// pairs are the copies to make of learners: selects for learners who are there, and for the new ones' ids.
type pairs string

const (
	// aTwin is another id beside a learner's, so that those who are measured are spread over the indexes as a few
	// of many are.
	aTwin = `CASE typeof(h.learner_id) WHEN 'blob' THEN CAST(substr(h.learner_id, 1, 10) || randomblob(6) AS BLOB)
		ELSE substr(h.learner_id, 1, 24) || lower(hex(randomblob(6))) END`
	// theTemplate is the learner with the longest log.
	theTemplate = `(SELECT learner_id FROM learner_head ORDER BY sequence DESC LIMIT 1)`

	// othersAsTemplate makes every other learner a copy of the template.
	othersAsTemplate pairs = `SELECT ` + theTemplate + `, h.learner_id FROM learner_head h WHERE h.learner_id <> ` + theTemplate
)

// twins makes this many copies of each learner.
func twins(each int) pairs {
	return pairs(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT h.learner_id, %s FROM learner_head h, n`, each, aTwin))
}

// copyLearners copies all that progress has of learners to others, in place of what these had: through the API ten
// million events would take an hour. What a learner has is in the tables that are keyed by the learner, whatever
// columns they have.
func copyLearners(ctx context.Context, data string, which pairs) error {
	db, err := openData(data)
	if err != nil {
		return err
	}
	defer db.Close()
	//nolint:gosec // constants and numbers
	if _, err := db.ExecContext(ctx, `CREATE TEMP TABLE pair (old, new); INSERT INTO pair `+string(which)+` ORDER BY 2`); err != nil {
		return err
	}
	var count, rows int
	err = db.QueryRowContext(ctx, `SELECT count(*), max(1, (SELECT max(sequence) FROM learner_head)) FROM pair`).Scan(&count, &rows)
	if err != nil {
		return err
	}
	tables, err := tablesOfLearners(ctx, db)
	if err != nil {
		return err
	}
	step := max(1, 100_000/rows) // learners a transaction
	for first := 0; first < count; first += step {
		if first/step%10 == 0 {
			say(fmt.Sprintf("%d of %d learners copied", first, count))
		}
		if err := copyPairs(ctx, db, tables, first, first+step); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// copyPairs copies some of the learners, in one transaction.
func copyPairs(ctx context.Context, db *sql.DB, tables map[string]string, after, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for table, columns := range tables {
		for _, statement := range []string{
			fmt.Sprintf(`DELETE FROM %s WHERE learner_id IN (SELECT new FROM pair WHERE pair.rowid > ? AND pair.rowid <= ?)`, table),
			fmt.Sprintf(`INSERT INTO %[1]s (learner_id, %[2]s) SELECT pair.new, %[2]s FROM pair CROSS JOIN %[1]s t ON t.learner_id = pair.old
				WHERE pair.rowid > ? AND pair.rowid <= ?`, table, columns),
		} {
			if _, err := tx.ExecContext(ctx, statement, after, to); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
	}
	return tx.Commit()
}

// tablesOfLearners are the tables whose every unique key has the learner, with their other columns.
func tablesOfLearners(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT m.name, group_concat(c.name, ', ') FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND c.name <> 'learner_id' AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) WHERE name = 'learner_id')
		AND NOT EXISTS (SELECT 1 FROM pragma_index_list(m.name) i WHERE i."unique"
			AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name) WHERE name = 'learner_id'))
		GROUP BY m.name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var table, columns string
		if err := rows.Scan(&table, &columns); err != nil {
			return nil, err
		}
		out[table] = columns
	}
	if len(out) < 3 || !strings.Contains(out["learner_head"], "sequence") {
		return nil, fmt.Errorf("the tables of learners are %v", out)
	}
	return out, rows.Err()
}
