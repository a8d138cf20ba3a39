package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres starts a server that lives as long as t, has migrate prepare one database in
// it, and gives a function by which each subtest gets a copy of that database, under a url
// of its own, until the subtest ends. migrate may be nil.
func Postgres(t T, migrate func(url string) error) func(t testing.TB) string {
	t.Helper()
	server := PostgresServer(t)
	execute(t, server, "CREATE DATABASE template_ready")
	template := inDatabase(t, server, "template_ready")
	if migrate != nil {
		must(t, migrate(template))
	}
	return func(t testing.TB) string {
		t.Helper()
		return PostgresCopy(t, template)
	}
}

// PostgresCopy copies the database of a url, to which nobody may be connected, and gives the url of
// the copy, which is there until t ends. Copying files is four times cheaper than what Postgres does
// of its own accord, which is to log every page.
func PostgresCopy(t T, template string) string {
	t.Helper()
	from, err := url.Parse(template)
	must(t, err)
	server := inDatabase(t, template, "postgres")
	name := "copy_" + strings.ToLower(rand.Text())
	execute(t, server, "CREATE DATABASE "+name+" TEMPLATE "+strings.TrimPrefix(from.Path, "/")+" STRATEGY FILE_COPY")
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	return inDatabase(t, template, name)
}

// inDatabase is a url with another database in it.
func inDatabase(t T, server, database string) string {
	t.Helper()
	u, err := url.Parse(server)
	must(t, err)
	u.Path = "/" + database
	return u.String()
}

// execute runs statements in the database of a url.
func execute(t T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// PostgresServer starts a server that lives as long as t and gives the url of its database
// "postgres", as superuser, whom it asks for no password. It does not survive a crash:
// nothing is synced to the disk.
func PostgresServer(t T) string {
	t.Helper()
	return NewPostgres(t, "fsync=off", "full_page_writes=off", "synchronous_commit=off").URL
}

// PostgresProcess is a server that a test may stop, and start again on its data.
type PostgresProcess struct {
	// URL is that of the database "postgres", as superuser.
	URL string

	bin, dir, port string
	args           []string
	running        *server
}

// NewPostgres starts a server with further settings, as "fsync=off". It lives as long as t.
func NewPostgres(t T, settings ...string) *PostgresProcess {
	t.Helper()
	p := &PostgresProcess{bin: postgresBin(t), dir: postgresDir(t)}
	data := filepath.Join(p.dir, "data")
	out, err := postgresCommand(t, p.dir, filepath.Join(p.bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust",
		"--no-sync", "-E", "UTF8", "--locale=C", "--no-instructions").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.port = strconv.Itoa(Ports(t, 1)[0])
	p.URL = fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", p.port)
	p.args = []string{"-D", data, "-p", p.port, "-k", p.dir}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "max_connections=200", "autovacuum=off", "shared_buffers=64MB",
	}, settings...) {
		p.args = append(p.args, "-c", setting)
	}
	p.Start(t)
	return p
}

// Start runs the server, and waits until it responds.
func (p *PostgresProcess) Start(t T) {
	t.Helper()
	p.running = start(t, postgresCommand(t, p.dir, filepath.Join(p.bin, "postgres"), p.args...), syscall.SIGQUIT)
	p.running.wait(t, func() error {
		conn, err := pgx.Connect(context.Background(), p.URL)
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	})
}

// Addr returns the server's address.
func (p *PostgresProcess) Addr() string { return "127.0.0.1:" + p.port }

// PID returns the id of the server's first process.
func (p *PostgresProcess) PID() int { return p.running.process.Pid }

// Crash ends the server in the middle of whatever it does. What it had promised to keep it
// finds again in its log when it starts.
func (p *PostgresProcess) Crash(t T) {
	t.Helper()
	must(t, p.running.process.Signal(syscall.SIGQUIT))
	<-p.running.done
}

// Stop ends the server in an orderly way.
func (p *PostgresProcess) Stop(t T) {
	t.Helper()
	must(t, p.running.process.Signal(syscall.SIGINT))
	<-p.running.done
}

// Shell runs lines of bash as the server's user on its machine, where Postgres's programs find the
// server and PGDATA is its data folder. It returns what they print.
func (p *PostgresProcess) Shell(t T, lines string, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", lines) //nolint:gosec // a test's own
	cmd.Dir, cmd.WaitDelay = p.dir, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: postgresUser(t)}
	cmd.Env = append(append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"), "PGHOST=127.0.0.1", "PGPORT="+p.port, "PGUSER=postgres",
		"PGDATA="+filepath.Join(p.dir, "data"), "BACKUPS="+filepath.Join(p.dir, "backups")), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, lines, out)
	}
	return string(out)
}

// Exec runs statements in the database "postgres", as superuser.
func (p *PostgresProcess) Exec(t T, statements ...string) {
	t.Helper()
	execute(t, p.URL, statements...)
}

// As is the server's url for a user, their password and a database.
func (p *PostgresProcess) As(t T, user, password, database string) string {
	t.Helper()
	u, err := url.Parse(p.URL)
	must(t, err)
	u.User, u.Path = url.UserPassword(user, password), "/"+database
	return u.String()
}

// RequirePasswords makes the server ask everybody but the superuser for a password.
func (p *PostgresProcess) RequirePasswords(t T) {
	t.Helper()
	const superuser, others = "host all postgres 127.0.0.1/32 trust\n", "host all,replication all 127.0.0.1/32 scram-sha-256\n"
	must(t, os.WriteFile(filepath.Join(p.dir, "data", "pg_hba.conf"), []byte(superuser+others), 0o600))
	p.Exec(t, "SELECT pg_reload_conf()")
}

// postgresDir is not in t.TempDir, whose parents are closed to the user postgres.
func postgresDir(t T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "preceptor-postgres-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if cred := postgresUser(t); cred != nil {
		must(t, os.Chown(dir, int(cred.Uid), int(cred.Gid)))
	}
	return dir
}

func postgresCommand(t T, dir, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...) //nolint:gosec // our own arguments
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: postgresUser(t)}
	return cmd
}

// postgresBin is the folder of initdb, which Debian does not put in the PATH; the newest.
func postgresBin(t T) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	must(t, err)
	if len(found) == 0 {
		t.Fatal("install postgresql, or leave out the build tag realservers: no initdb was found")
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) })
	return filepath.Dir(newest)
}

func major(initdb string) int {
	version := filepath.Base(filepath.Dir(filepath.Dir(initdb)))
	n, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	if err != nil {
		return 0
	}
	return n
}

// postgresUser is whom the server runs as when we are root, whom it refuses; else nil.
func postgresUser(t T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	must(t, err)
	uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
	must(t, errors.Join(uerr, gerr))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
