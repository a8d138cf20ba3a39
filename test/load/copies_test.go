package main

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// TestCopiesOfLearners copies a learner to new ones and over another, in the tables that are keyed by the learner alone.
func TestCopiesOfLearners(t *testing.T) {
	ctx, data := context.Background(), t.TempDir()
	db, err := openData(data)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE TABLE learner_head (learner_id TEXT PRIMARY KEY, sequence INTEGER, version INTEGER) WITHOUT ROWID`,
		`CREATE TABLE learner_log (learner_id TEXT, sequence INTEGER, event_id TEXT, PRIMARY KEY (learner_id, sequence)) WITHOUT ROWID`,
		`CREATE UNIQUE INDEX once ON learner_log (learner_id, event_id)`,
		`CREATE TABLE enrollment (learner_id TEXT, enrollment_id TEXT, PRIMARY KEY (learner_id, enrollment_id)) WITHOUT ROWID`,
		`CREATE TABLE subject_link (subject TEXT PRIMARY KEY, learner_id TEXT) WITHOUT ROWID`,
		`INSERT INTO learner_head VALUES ('01a220c4-4397-73f3-8a44-f6354596c6b2', 3, 7), ('01a220c4-5555-73f3-8a44-f6354596c6b2', 1, 1)`,
		`INSERT INTO learner_log VALUES ('01a220c4-4397-73f3-8a44-f6354596c6b2', 1, 'a'), ('01a220c4-4397-73f3-8a44-f6354596c6b2', 2, 'b'),
			('01a220c4-4397-73f3-8a44-f6354596c6b2', 3, NULL), ('01a220c4-5555-73f3-8a44-f6354596c6b2', 1, 'z')`,
		`INSERT INTO subject_link VALUES ('ada', '01a220c4-4397-73f3-8a44-f6354596c6b2')`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyLearners(ctx, data, othersAsTemplate); err != nil {
		t.Fatal(err)
	}
	if err := copyLearners(ctx, data, twins(4)); err != nil {
		t.Fatal(err)
	}
	logs := map[string]string{}
	rows, err := db.QueryContext(ctx, `SELECT learner_id, group_concat(sequence || coalesce(event_id, '-'), ' ' ORDER BY sequence) FROM learner_log GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var learner, entries string
		if err := rows.Scan(&learner, &entries); err != nil {
			t.Fatal(err)
		}
		logs[learner] = entries
	}
	for learner, entries := range logs {
		if entries != "1a 2b 3-" || len(learner) != 36 || !strings.HasPrefix(learner, "01a220c4-4397-73f3-8a44-") && !strings.HasPrefix(learner, "01a220c4-5555-73f3-8a44-") {
			t.Errorf("%s has %q", learner, entries)
		}
	}
	var heads, links int
	err = db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM learner_head WHERE sequence = 3 AND version = 7), (SELECT count(*) FROM subject_link)`).Scan(&heads, &links)
	if err != nil || len(logs) != 10 || heads != 10 || links != 1 {
		t.Errorf("%d logs, %d heads, %d links: %v", len(logs), heads, links, err)
	}
}

// TestBinaryIDsAreCopied copies a learner whose id is sixteen bytes.
func TestBinaryIDsAreCopied(t *testing.T) {
	ctx, data := context.Background(), t.TempDir()
	db, err := openData(data)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE TABLE learner_head (learner_id BLOB PRIMARY KEY, sequence INTEGER) WITHOUT ROWID`,
		`CREATE TABLE learner_log (learner_id BLOB, sequence INTEGER, entry BLOB, PRIMARY KEY (learner_id, sequence)) WITHOUT ROWID`,
		`CREATE TABLE module_facts (learner_id BLOB, module_id TEXT, facts BLOB, PRIMARY KEY (learner_id, module_id)) WITHOUT ROWID`,
		`INSERT INTO learner_head VALUES (x'00112233445566778899aabbccddeeff', 1)`,
		`INSERT INTO learner_log VALUES (x'00112233445566778899aabbccddeeff', 1, x'00ff')`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyLearners(ctx, data, twins(2)); err != nil {
		t.Fatal(err)
	}
	var ids []string
	rows, err := db.QueryContext(ctx, `SELECT typeof(learner_id) || length(learner_id) || hex(substr(learner_id, 1, 10)) || hex(entry) FROM learner_log`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if want := slices.Repeat([]string{"blob1600112233445566778899" + "00FF"}, 3); !slices.Equal(ids, want) {
		t.Errorf("the copies are %q", ids)
	}
}
