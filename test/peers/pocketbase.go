// Command peers serves PocketBase as the measurements compare it with Preceptor: learners with tokens, and one
// collection of events, of which each learner may create and list their own. SQLite syncs every commit to the
// disk (synchronous=FULL), as Preceptor's does; PocketBase itself would not (NORMAL).
//
//	go -C test/peers run . -http 127.0.0.1:8090 -dir /tmp/pb -learners 100 -tokens /tmp/pb.tokens
//
// It writes the learners' ids and tokens into a file, one learner a line, before it serves.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations" // of its own tables
)

func main() {
	address := flag.String("http", "127.0.0.1:8090", "where to listen")
	dir := flag.String("dir", "", "folder of the data, which must be new")
	learners := flag.Int("learners", 100, "how many learners to make")
	tokens := flag.String("tokens", "", "file for the learners' ids and tokens")
	flag.Parse()
	if err := serve(*address, *dir, *tokens, *learners); err != nil {
		fmt.Fprintln(os.Stderr, "peers: "+err.Error())
		os.Exit(1)
	}
}

func serve(address, dir, tokens string, learners int) error {
	app := core.NewBaseApp(core.BaseAppConfig{DataDir: dir, DBConnect: connect})
	if err := app.Bootstrap(); err != nil {
		return err
	}
	if err := app.RunAllMigrations(); err != nil {
		return err
	}
	if err := prepare(app); err != nil {
		return err
	}
	lines, err := enroll(app, learners)
	if err != nil {
		return err
	}
	if err := os.WriteFile(tokens, []byte(lines), 0o600); err != nil {
		return err
	}
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.InstallerFunc = nil // it would open a browser for the first superuser
		return e.Next()
	})
	if err := apis.Serve(app, apis.ServeConfig{HttpAddr: address}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// connect opens a database as PocketBase does, but for synchronous.
func connect(path string) (*dbx.DB, error) {
	return dbx.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(200000000)"+
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)")
}

// prepare makes the collection of events.
func prepare(app core.App) error {
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return err
	}
	if password, ok := users.Fields.GetByName("password").(*core.PasswordField); ok {
		password.Cost = 4 // nobody signs in by it, and making a thousand learners takes a minute otherwise
	}
	if err := app.Save(users); err != nil {
		return err
	}
	events := core.NewBaseCollection("events")
	own := "@request.auth.id != '' && learner = @request.auth.id"
	events.CreateRule, events.ListRule = &own, &own
	events.Fields.Add(
		&core.RelationField{Name: "learner", CollectionId: users.Id, Required: true, MaxSelect: 1},
		&core.TextField{Name: "eventId", Required: true},
		&core.TextField{Name: "moduleId", Required: true},
		&core.TextField{Name: "unitId", Required: true},
		&core.TextField{Name: "verb", Required: true},
		&core.TextField{Name: "deviceId"},
		&core.DateField{Name: "occurredAt", Required: true},
	)
	events.AddIndex("events_once", true, "learner, eventId", "")
	return app.Save(events)
}

// enroll makes the learners, and returns a line of each: the id, a blank and a token.
func enroll(app core.App, learners int) (string, error) {
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return "", err
	}
	var lines strings.Builder
	err = app.RunInTransaction(func(tx core.App) error {
		for i := range learners {
			user := core.NewRecord(users)
			user.SetEmail(fmt.Sprintf("learner-%d@example.org", i))
			user.SetRandomPassword()
			if err := tx.Save(user); err != nil {
				return err
			}
			token, err := user.NewStaticAuthToken(6 * time.Hour)
			if err != nil {
				return err
			}
			fmt.Fprintf(&lines, "%s %s\n", user.Id, token)
		}
		return nil
	})
	return lines.String(), err
}
