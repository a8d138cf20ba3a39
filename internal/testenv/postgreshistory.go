package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// MortalPostgres is a server that its test stops, starts, and sets back to an earlier state, as a
// failover to a standby does that had not received everything.
type MortalPostgres struct {
	// URL is of the database "postgres", as superuser; it stays the same over lives.
	URL string

	bin, dir string
	port     int
	server   *server
}

// NewMortalPostgres starts a server.
func NewMortalPostgres(t T) *MortalPostgres {
	t.Helper()
	p := &MortalPostgres{bin: postgresBin(t), dir: postgresDir(t), port: Ports(t, 1)[0]}
	p.URL = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", p.port)
	p.run(t, filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	p.Start(t)
	return p
}

// Start starts it again.
func (p *MortalPostgres) Start(t T) {
	t.Helper()
	p.server = start(t, postgresCommand(t, p.dir, filepath.Join(p.bin, "postgres"), "-D", p.data(), "-p", strconv.Itoa(p.port), "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "restore_command=false"), syscall.SIGINT)
	p.server.wait(t, func() error {
		conn, err := pgx.Connect(context.Background(), p.URL)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		var standby bool
		if err := conn.QueryRow(context.Background(), "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || !standby {
			return err
		}
		return errStandby
	})
}

// errStandby is what a server is until its recovery ends.
var errStandby = errors.New("it has not taken over yet")

// Save copies the present state. The server is stopped for it and started again.
func (p *MortalPostgres) Save(t T) {
	t.Helper()
	p.server.end()
	p.run(t, "cp", "-a", p.data(), p.saved())
	p.Start(t)
}

// FailOver ends the server, and has one with the saved state take its place and go on from there.
func (p *MortalPostgres) FailOver(t T) {
	t.Helper()
	p.server.end()
	must(t, os.RemoveAll(p.data()))
	p.run(t, "cp", "-a", p.saved(), p.data())
	p.run(t, "touch", filepath.Join(p.data(), "recovery.signal"))
	p.Start(t)
}

func (p *MortalPostgres) data() string  { return filepath.Join(p.dir, "data") }
func (p *MortalPostgres) saved() string { return filepath.Join(p.dir, "saved") }

// run runs a command as the server's user.
func (p *MortalPostgres) run(t T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	must(t, err)
	if out, err := postgresCommand(t, p.dir, path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
