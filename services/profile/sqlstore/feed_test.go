package sqlstore_test

import (
	"context"
	"io/fs"
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func TestSQLiteFeedBegins(t *testing.T) {
	testFeedBegins(t, sqldbtest.SQLiteURL(t), "sqlite")
}

// testFeedBegins migrates a database with learners from before there was a feed.
func testFeedBegins(t *testing.T, url, dialect string) {
	t.Helper()
	db := sqldbtest.Open(t, url)
	name := dialect + "/00001_learners.sql"
	first, err := fs.ReadFile(sqlstore.Migrations(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), fstest.MapFS{name: {Data: first}}); err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		for id, zone := range map[string]string{"c": "UTC", "b": "", "a": "Asia/Tokyo"} {
			_, err := tx.ExecContext(ctx, `INSERT INTO learners (id, display_name, email, locale, time_zone, background, target_role,
goal_minutes, goal_units, search_text, version, create_time, update_time) VALUES ($1, '', '', '', $2, '', '', 0, 0, '', 1, 0, 0)`, id, zone)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []profile.Change{{Revision: 1, LearnerID: "a", TimeZone: "Asia/Tokyo"}, {Revision: 2, LearnerID: "c", TimeZone: "UTC"}}
	if err := db.Migrate(t.Context(), sqlstore.Migrations()); err != nil {
		t.Fatal(err)
	}
	changes, newest, err := sqlstore.New(db).Changes(t.Context(), 0, 10)
	if err != nil || newest != 2 || !reflect.DeepEqual(changes, want) {
		t.Errorf("the feed begins with %+v, %d, %v, want %+v, 2", changes, newest, err, want)
	}
}
