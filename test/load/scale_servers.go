package main

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the superuser's own questions
	"github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/testenv"
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

// memoryLimit is the GOMEMLIMIT of a process: the half of its container's memory, which it keeps to by itself in
// one. There it may be twice what is live; so little is live here that this makes no difference.
func memoryLimit(p part) string { return fmt.Sprintf("GOMEMLIMIT=%.0fMiB", pods()[p].memory/2) }

// fleet is the four processes as they are run for others: records in Postgres, answers in Redis,
// mutual TLS between them.
type fleet struct {
	dir, bin, base, address, parameters string
	settings                            []string

	gateway *server
	// servers are Postgres and Redis, and what ends them.
	servers *scope
	// commands are our own processes; pids are those of all parts.
	commands [parts]*exec.Cmd
	pids     [parts]int
	admin    *sql.DB
	redis    *redis.Client
	// where are the services' own addresses; health are those of their /readyz.
	where, health map[string]string
}

// newFleet starts all of it in the folder. settings are further ones of Postgres, parameters of the urls that lead there.
func newFleet(ctx context.Context, dir string, settings []string, parameters string) (*fleet, error) {
	f := &fleet{
		dir: dir, bin: filepath.Join(dir, "preceptor"), settings: settings, parameters: parameters,
		where: map[string]string{}, health: map[string]string{}, servers: &scope{dir: dir},
	}
	say("building …")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", f.bin, "./cmd/preceptor").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	for _, begin := range []func(context.Context) error{f.startServers, f.openAdmin, f.migrate, f.startServices} {
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
	for _, cmd := range f.commands {
		if cmd != nil && cmd.ProcessState == nil {
			(&server{cmd: cmd}).stop()
		}
	}
	f.servers.end()
}

// startServers starts a Postgres whose commits reach the disk, and a Redis. Checkpoints happen when the
// measurement asks for one.
func (f *fleet) startServers(context.Context) error {
	return f.servers.run(func(t testenv.T) { //nolint:contextcheck // the servers end with their scope
		postgres := testenv.NewPostgres(t, append([]string{
			"autovacuum=on", "shared_buffers=1GB", "checkpoint_timeout=1h", "max_wal_size=32GB", "wal_keep_size=4GB",
		}, f.settings...)...)
		f.base, f.pids[atPostgres] = postgres.Addr(), postgres.PID()
		server := testenv.NewMortalRedis(t)
		f.pids[atRedis] = server.PID()
		f.redis = redis.NewClient(&redis.Options{Addr: server.Addr})
	})
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
	services := []string{"profile", "catalog", "progress"}
	addresses, err := f.servers.addresses(2*len(services) + 1)
	if err != nil {
		return err
	}
	for i, s := range services {
		f.where[s], f.health[s] = addresses[2*i], addresses[2*i+1]
	}
	f.address = addresses[2*len(services)]
	f.health["gateway"] = f.address
	for _, p := range []part{atCatalog, atProfile, atProgress, atGateway} {
		if err := f.startService(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// startService starts one process, with the memory that it has in deploy/k8s.
func (f *fleet) startService(ctx context.Context, p part) error {
	name := partName(p)
	args := []string{"serve", name, "--data", filepath.Join(f.dir, "data"), "--log-level", "warn", "--drain-delay", "0s"}
	if p == atGateway {
		args = append(args, "--http", f.address)
	} else {
		args = append(args, "--listen", f.where[name], "--health-addr", f.health[name], "--database-url", f.url("app_"+name, "preceptor"))
	}
	if p == atProgress {
		args = append(args, "--redis-url", "redis://"+f.redis.Options().Addr)
	}
	for _, other := range []string{"profile", "catalog", "progress"} {
		args = append(args, "--"+other+"-addr", f.where[other])
	}
	cmd := exec.CommandContext(ctx, f.bin, args...)
	cmd.Env = append(cmd.Environ(), memoryLimit(p))
	s, err := start(ctx, f.health[name], cmd, "/readyz")
	if err != nil {
		return err
	}
	f.commands[p], f.pids[p] = s.cmd, s.cmd.Process.Pid
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
