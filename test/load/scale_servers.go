package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the superuser's own questions
	"github.com/redis/go-redis/v9"
)

// part is one of what a request costs time in.
type part int

const (
	atGateway part = iota
	atProgress
	atProfile
	atCatalog
	atPostgres
	atRedis
	parts
)

// partName is how tables call a part.
func partName(p part) string {
	return [parts]string{"gateway", "progress", "profile", "catalog", "Postgres", "Redis"}[p]
}

// memoryLimits are the GOMEMLIMIT of deploy/k8s/base: with one, the collector runs at its default pace.
func memoryLimits() map[string]string {
	return map[string]string{"gateway": "345MiB", "progress": "460MiB", "profile": "230MiB", "catalog": "345MiB"}
}

// fleet is the four processes as they are run for others: records in Postgres, answers in Redis,
// mutual TLS between them.
type fleet struct {
	dir, bin, base, address, parameters string
	settings                            []string

	gateway  *server
	commands [parts]*exec.Cmd
	admin    *sql.DB
	redis    *redis.Client
	// where are the services' own addresses.
	where map[string]string
}

// newFleet starts all of it in the folder. settings are further ones of Postgres, parameters of the urls that lead there.
func newFleet(ctx context.Context, dir string, settings []string, parameters string) (*fleet, error) {
	f := &fleet{dir: dir, bin: filepath.Join(dir, "preceptor"), settings: settings, parameters: parameters, where: map[string]string{}}
	say("building …")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", f.bin, "./cmd/preceptor").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	for _, begin := range []func(context.Context) error{f.startPostgres, f.startRedis, f.migrate, f.startServices} {
		if err := begin(ctx); err != nil {
			f.stop()
			return nil, err
		}
	}
	return f, nil
}

// stop ends everything; what was stored goes with the folder.
func (f *fleet) stop() {
	if f.admin != nil {
		_ = f.admin.Close()
	}
	for p, cmd := range f.commands {
		if cmd == nil || cmd.ProcessState != nil {
			continue
		}
		if part(p) == atPostgres {
			_ = cmd.Process.Signal(syscall.SIGQUIT) // no last checkpoint is needed
		}
		(&server{cmd: cmd}).stop()
	}
}

// startPostgres makes a server whose commits reach the disk, and a database with a role for each
// service. Checkpoints happen when the measurement asks for one.
func (f *fleet) startPostgres(ctx context.Context) error {
	bin, err := postgresBin()
	if err != nil {
		return err
	}
	home, data := filepath.Join(f.dir, "postgres"), filepath.Join(f.dir, "postgres", "data")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	as, err := postgresUser(home, f.dir)
	if err != nil {
		return err
	}
	initialize := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initialize.Dir, initialize.SysProcAttr = home, as
	if out, err := initialize.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	args := []string{"-D", data, "-p", port, "-k", home}
	for _, s := range append([]string{
		"listen_addresses=127.0.0.1", "max_connections=200", "shared_buffers=1GB", "checkpoint_timeout=1h", "max_wal_size=32GB", "wal_keep_size=4GB",
	}, f.settings...) {
		args = append(args, "-c", s)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	cmd.Dir, cmd.SysProcAttr = home, as
	if err := cmd.Start(); err != nil {
		return err
	}
	f.commands[atPostgres] = cmd
	f.base = "127.0.0.1:" + port
	return f.openAdmin(ctx)
}

func (f *fleet) url(role, database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable&%s", role, f.base, database, f.parameters)
}

// openAdmin waits for the server, and makes the database and the roles.
func (f *fleet) openAdmin(ctx context.Context) error {
	first, err := sql.Open("pgx", f.url("postgres", "postgres"))
	if err != nil {
		return err
	}
	defer first.Close()
	if err := eventually(func() error { return first.PingContext(ctx) }); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	statements := []string{"CREATE DATABASE preceptor"}
	for _, s := range []string{"profile", "catalog", "progress"} {
		statements = append(statements, "CREATE ROLE app_"+s+" LOGIN", "GRANT CREATE ON DATABASE preceptor TO app_"+s)
	}
	for _, s := range statements {
		if _, err := first.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	if f.admin, err = sql.Open("pgx", f.url("postgres", "preceptor")); err != nil {
		return err
	}
	_, err = f.admin.ExecContext(ctx, "CREATE EXTENSION pg_walinspect") // since Postgres 15
	return err
}

// postgresBin is the folder of initdb, which Debian keeps out of the PATH.
func postgresBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("install postgresql: no initdb was found")
	}
	return filepath.Dir(slices.Max(found)), nil
}

// postgresUser returns the user that the server runs as: it refuses root, which then lends it the folder.
func postgresUser(home string, parents ...string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no other user is needed
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	for _, dir := range parents {
		if err := os.Chmod(dir, 0o711); err != nil {
			return nil, err
		}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(home, uid, gid)
}

// startRedis starts one that keeps nothing on disk.
func (f *fleet) startRedis(ctx context.Context) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", f.dir, "--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("redis-server: %w", err)
	}
	f.commands[atRedis] = cmd
	f.redis = redis.NewClient(&redis.Options{Addr: address})
	return eventually(func() error { return f.redis.Ping(ctx).Err() })
}

func (f *fleet) migrate(ctx context.Context) error {
	for _, s := range []string{"profile", "catalog", "progress"} {
		if out, err := exec.CommandContext(ctx, f.bin, "migrate", s, "--database-url", f.url("app_"+s, "preceptor")).CombinedOutput(); err != nil {
			return fmt.Errorf("migrate %s: %w\n%s", s, err, out)
		}
	}
	return nil
}

// startServices starts the four processes, those first that others need.
func (f *fleet) startServices(ctx context.Context) error {
	for _, s := range []string{"profile", "catalog", "progress", "gateway"} {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		f.where[s] = address
	}
	f.address = f.where["gateway"]
	for _, p := range []part{atCatalog, atProfile, atProgress, atGateway} {
		if err := f.startService(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// startService starts one process, with the collector's settings of deploy/k8s.
func (f *fleet) startService(ctx context.Context, p part) error {
	name := partName(p)
	args := []string{"serve", name, "--data", filepath.Join(f.dir, "data"), "--log-level", "warn", "--drain-delay", "0s"}
	health := f.address
	if p == atGateway {
		args = append(args, "--http", f.address)
	} else {
		var err error
		if health, err = freeAddress(ctx); err != nil {
			return err
		}
		args = append(args, "--listen", f.where[name], "--health-addr", health, "--database-url", f.url("app_"+name, "preceptor"))
	}
	if p == atProgress {
		args = append(args, "--redis-url", "redis://"+f.redis.Options().Addr)
	}
	for _, other := range []string{"profile", "catalog", "progress"} {
		args = append(args, "--"+other+"-addr", f.where[other])
	}
	cmd := exec.CommandContext(ctx, f.bin, args...)
	cmd.Env = append(cmd.Environ(), "GOMEMLIMIT="+memoryLimits()[name])
	s, err := start(ctx, health, cmd, "/readyz")
	if err != nil {
		return err
	}
	f.commands[p] = s.cmd
	if p == atGateway {
		f.gateway = s
	}
	return nil
}

// renew starts the gateway and progress anew, so that their memory shows what is in it.
func (f *fleet) renew(ctx context.Context) error {
	for _, p := range []part{atGateway, atProgress} {
		(&server{cmd: f.commands[p]}).stop()
	}
	for _, p := range []part{atProgress, atGateway} {
		if err := f.startService(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// eventually tries until it works, for ten seconds.
func eventually(try func() error) error {
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return nil
		}
	}
	return err
}
