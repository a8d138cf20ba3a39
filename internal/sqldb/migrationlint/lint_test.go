package migrationlint_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/preceptor-dev/preceptor/internal/sqldb/migrationlint"
)

// first is what was released: it may do all that is refused afterwards.
const first = `-- format: 9
CREATE TABLE log (id BIGINT PRIMARY KEY, body TEXT COLLATE "C" NOT NULL);
CREATE INDEX log_body ON log (body);
INSERT INTO log VALUES (1, '');
`

// lint looks at migrations of Postgres, or of SQLite, after the first; the other database has twins that do nothing.
func lint(t *testing.T, dialect string, migrations ...string) string {
	t.Helper()
	fsys := fstest.MapFS{}
	for i, sql := range append([]string{first}, migrations...) {
		for _, folder := range []string{"sqlite", "postgres"} {
			text := sql
			if folder != dialect && i > 0 {
				text = "SELECT 1;"
			}
			fsys[fmt.Sprintf("%s/%05d_step.sql", folder, i+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
		}
	}
	faults, err := migrationlint.Lint(fsys, 1)
	if err != nil {
		return err.Error()
	}
	return strings.Join(faults, "\n")
}

func TestSafe(t *testing.T) {
	for _, migrations := range [][]string{
		{`CREATE TABLE other (a BIGINT PRIMARY KEY, b TEXT NOT NULL DEFAULT 'it''s; fine'); CREATE UNIQUE INDEX other_b ON other (b);
			INSERT INTO other (a) VALUES (1); UPDATE other SET b = 'c'; ALTER TABLE other ALTER COLUMN b SET NOT NULL;`},
		{`CREATE TABLE parts (a BIGINT) PARTITION BY HASH (a); CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);`},
		{`ALTER TABLE log ADD COLUMN a BIGINT; /* ; */ ALTER TABLE log ADD COLUMN b TEXT COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN c INTEGER NOT NULL DEFAULT -1;`},
		{`ALTER TABLE log ADD COLUMN d BOOLEAN NOT NULL DEFAULT FALSE, ADD COLUMN e DOUBLE PRECISION DEFAULT 0.5;`},
		{
			`ALTER TABLE log ADD COLUMN a BIGINT;`,
			`ALTER TABLE log ADD CONSTRAINT log_a CHECK (a IS NOT NULL) NOT VALID;`,
			`ALTER TABLE log VALIDATE CONSTRAINT log_a;`,
			`ALTER TABLE log ALTER COLUMN a SET NOT NULL;`,
		},
		{
			"-- +goose NO TRANSACTION\nSET lock_timeout = 0; DROP INDEX CONCURRENTLY IF EXISTS log_two;\nCREATE INDEX CONCURRENTLY log_two ON log (id, body); RESET lock_timeout;",
		},
		{
			"-- +goose NO TRANSACTION\nCREATE INDEX IF NOT EXISTS whole ON ONLY log (id); DROP INDEX CONCURRENTLY IF EXISTS part;\nCREATE UNIQUE INDEX CONCURRENTLY part ON log_0 (id);",
			"ALTER INDEX whole ATTACH PARTITION part;",
		},
		{"CREATE TABLE kept (a BIGINT);\nCREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DROP TABLE log; END $$;\n" +
			"CREATE TRIGGER t BEFORE UPDATE OR DELETE OR TRUNCATE ON kept FOR EACH STATEMENT EXECUTE FUNCTION stays();"},
	} {
		if faults := lint(t, "postgres", migrations...); faults != "" {
			t.Errorf("%q:\n%s", migrations, faults)
		}
	}
	for _, sql := range []string{`CREATE INDEX log_two ON log (id, body);`, `ALTER TABLE log ADD COLUMN a INTEGER NOT NULL DEFAULT 0;`, `SELECT 1;`} {
		if faults := lint(t, "sqlite", sql); faults != "" {
			t.Errorf("%q:\n%s", sql, faults)
		}
	}
}

func TestUnsafe(t *testing.T) {
	const unknown, drops, rewrites = "not known to be safe", "may need what it drops", "computed for each row"
	const job, concurrently, looks, locks = "leased job", "CONCURRENTLY", "looks at all rows", "hold their locks"
	for sql, words := range map[string]string{
		`DROP TABLE log;`:                                                          drops,
		`DROP INDEX log_body;`:                                                     drops,
		`DROP INDEX CONCURRENTLY log_body;`:                                        drops,
		`ALTER TABLE log DROP COLUMN body;`:                                        drops,
		`ALTER TABLE log ADD COLUMN a BIGINT, DROP COLUMN body;`:                   drops,
		`ALTER TABLE "log" DROP COLUMN body;`:                                      drops,
		`alter table log drop constraint log_pkey;`:                                drops,
		`ALTER TABLE log RENAME COLUMN body TO text;`:                              unknown,
		`ALTER TABLE log RENAME TO journal;`:                                       unknown,
		`ALTER TABLE log SET LOGGED;`:                                              unknown,
		`ALTER TABLE ONLY log ALTER COLUMN body TYPE BYTEA;`:                       "writes the whole table anew",
		`ALTER TABLE log ALTER COLUMN body TYPE BYTEA;`:                            "writes the whole table anew",
		`ALTER TABLE log ALTER body SET DATA TYPE BYTEA;`:                          "writes the whole table anew",
		`UPDATE log SET body = '';`:                                                job,
		`UPDATE log SET body = '' WHERE id = 1;`:                                   job,
		`UPDATE ONLY log SET body = '';`:                                           unknown,
		`DELETE FROM log;`:                                                         unknown,
		`WITH x AS (SELECT 1) UPDATE log SET body = '';`:                           unknown,
		`TRUNCATE log;`:                                                            unknown,
		`VACUUM FULL log;`:                                                         unknown,
		`INSERT INTO log SELECT * FROM log;`:                                       job,
		`DO $$ BEGIN DELETE FROM log; END $$;`:                                     unknown,
		`CREATE TABLE copy AS SELECT * FROM log;`:                                  unknown,
		`CREATE TABLE other (id BIGINT REFERENCES log (id));`:                      "locks that one",
		`ALTER TABLE log ADD COLUMN a TEXT DEFAULT random()::text;`:                rewrites,
		`ALTER TABLE log ADD COLUMN a UUID DEFAULT gen_random_uuid();`:             rewrites,
		`ALTER TABLE log ADD COLUMN a NAME DEFAULT CURRENT_USER;`:                  rewrites,
		`ALTER TABLE log ADD COLUMN a BIGSERIAL;`:                                  rewrites,
		`ALTER TABLE log ADD COLUMN a BIGINT NOT NULL;`:                            "older programs write rows without the column",
		`ALTER TABLE log ADD COLUMN a BIGINT NOT NULL DEFAULT NULL;`:               "older programs write rows without the column",
		`ALTER TABLE log ADD COLUMN a BIGINT UNIQUE;`:                              "are known to be safe",
		`ALTER TABLE log ADD COLUMN a BIGINT GENERATED ALWAYS AS (id * 2) STORED;`: "are known to be safe",
		`ALTER TABLE log ADD CONSTRAINT c CHECK (id > 0);`:                         looks,
		`ALTER TABLE log ADD CONSTRAINT c UNIQUE (body);`:                          unknown,
		`ALTER TABLE log ADD CHECK (id > 0);`:                                      unknown,
		`ALTER TABLE log ADD CONSTRAINT c CHECK (id > 0) NOT VALID; ALTER TABLE log VALIDATE CONSTRAINT c;`:                 locks,
		`ALTER TABLE log ALTER COLUMN body SET NOT NULL;`:                                                                   looks,
		`CREATE INDEX log_two ON log (id, body);`:                                                                           concurrently,
		`CREATE UNIQUE INDEX log_two ON log (id, body);`:                                                                    concurrently,
		`CREATE INDEX IF NOT EXISTS log_two ON log (id);`:                                                                   unknown,
		`CREATE INDEX CONCURRENTLY log_two ON log (id);`:                                                                    unknown, // in a transaction Postgres refuses it
		`CREATE TRIGGER t BEFORE INSERT ON log EXECUTE FUNCTION f();`:                                                       job,
		"-- +goose NO TRANSACTION\nCREATE INDEX CONCURRENTLY log_two ON log (id);":                                          "an INVALID index is in its way",
		"-- +goose NO TRANSACTION\nDROP INDEX CONCURRENTLY IF EXISTS other; CREATE INDEX CONCURRENTLY log_two ON log (id);": drops,
		"-- +goose NO TRANSACTION\nCREATE INDEX log_two ON log (id);":                                                       "only indexes are made",
		"-- +goose NO TRANSACTION\nALTER TABLE log ADD COLUMN a BIGINT;":                                                    "only indexes are made",
		"SELECT 1;\n-- +goose Down\nSELECT 1;":                                                                              "a part Down",
		"-- format: 10\nSELECT 1;":                                                                                          "raises the format",
		`SELECT '`:                                                                                                          "is missing after",
		`SELECT 1`:                                                                                                          "does not end",
	} {
		if faults := lint(t, "postgres", sql); !strings.Contains(faults, words) {
			t.Errorf("%s\nis refused with %q, want %q", sql, faults, words)
		}
	}
	for sql, words := range map[string]string{
		`DROP TABLE log;`:                                 drops,
		`UPDATE log SET body = '';`:                       job,
		`ALTER TABLE log ALTER COLUMN body SET NOT NULL;`: unknown,
		"-- +goose NO TRANSACTION\nSELECT 1;":             "SQLite needs nothing",
	} {
		if faults := lint(t, "sqlite", sql); !strings.Contains(faults, words) {
			t.Errorf("SQLite: %s\nis refused with %q, want %q", sql, faults, words)
		}
	}
	if faults := lint(t, "postgres",
		`ALTER TABLE log ADD COLUMN a BIGINT; ALTER TABLE log ADD CONSTRAINT log_a CHECK (a IS NOT NULL) NOT VALID;`,
		`ALTER TABLE log ALTER COLUMN a SET NOT NULL;`); !strings.Contains(faults, looks) {
		t.Errorf("a constraint that nobody validated is taken for one: %q", faults)
	}
}

func TestTwins(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	faults, err := migrationlint.Lint(fstest.MapFS{
		"sqlite/00001_a.sql": file("SELECT 1;"), "postgres/00001_a.sql": file("SELECT 1;"),
		"sqlite/00002_b.sql": file("SELECT 1;"), "postgres/00002_other.sql": file("SELECT 1;"),
		"sqlite/00003_c.sql": file("-- min_binary: 3\nSELECT 1;"), "postgres/00003_c.sql": file("SELECT 1;"),
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"sqlite/00002_b.sql: there is no such", "postgres/00002_other.sql: there is no such", "00003_c.sql: min_binary differs"}
	for i := range max(len(want), len(faults)) {
		if i >= len(want) || i >= len(faults) || !strings.HasPrefix(faults[i], want[i]) {
			t.Fatalf("%q", faults)
		}
	}
}
