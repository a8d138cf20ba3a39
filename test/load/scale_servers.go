package main

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"strings"

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
func (f *fleet) memoryLimit(p part) string {
	container := pods()[p].memory
	if p == atGateway && f.gatewayMemory > 0 {
		container = f.gatewayMemory
	}
	return fmt.Sprintf("GOMEMLIMIT=%.0fMiB", container/2)
}

// fleet is the four processes as they are run for others: records in Postgres, answers in Redis,
// mutual TLS between them.
type fleet struct {
	shape

	dir, bin, base string

	gateway *server
	// servers are Postgres and Redis, and what ends them.
	servers *scope
	// own are our processes, by part; pids are those of all parts, stores included.
	own   [parts][]*server
	pids  [parts][]int
	admin *sql.DB
	redis *redis.Client
	// where are the services' own addresses; health and metrics are those of their /readyz and /metrics.
	where, health, metrics map[part][]string
}

// shape is how a fleet differs from what deploy/k8s has.
type shape struct {
	// settings are further ones of Postgres, parameters of the urls that lead there.
	settings   []string
	parameters string
	// replicas is how many processes of progress there are; 0 is one.
	replicas int
	// gatewayMemory is that of the gateway's container in MiB, where it is another than in deploy/k8s.
	gatewayMemory float64
}

// newFleet starts all of it in the folder, from the program there.
func newFleet(ctx context.Context, dir, bin string, with shape) (*fleet, error) {
	f := &fleet{
		shape: with, dir: dir, bin: bin,
		where: map[part][]string{}, health: map[part][]string{}, metrics: map[part][]string{}, servers: &scope{dir: dir},
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
	for p := range f.own {
		f.stopService(part(p))
	}
	f.servers.end()
}

// startServers starts a Postgres whose commits reach the disk, and a Redis. Checkpoints happen when the
// measurement asks for one.
func (f *fleet) startServers(context.Context) error {
	return f.servers.run(func(t testenv.T) { //nolint:contextcheck // the servers end with their scope
		postgres := testenv.NewPostgres(t, append(postgresSettings(), f.settings...)...)
		f.base, f.pids[atPostgres] = postgres.Addr(), []int{postgres.PID()}
		server := testenv.NewMortalRedis(t)
		f.pids[atRedis] = []int{server.PID()}
		f.redis = redis.NewClient(&redis.Options{Addr: server.Addr})
	})
}

// postgresSettings are those of every Postgres that is measured.
func postgresSettings() []string {
	return []string{"autovacuum=on", "shared_buffers=1GB", "checkpoint_timeout=1h", "max_wal_size=32GB", "wal_keep_size=4GB"}
}

// versions are those of the stores.
func (f *fleet) versions(ctx context.Context) []string {
	var version string
	if err := f.admin.QueryRowContext(ctx, "SHOW server_version").Scan(&version); err != nil {
		version = "of an unknown version"
	}
	out := []string{"Postgres " + strings.Fields(version)[0]}
	if info, err := f.redis.InfoMap(ctx, "server").Result(); err == nil {
		out = append(out, "Redis "+info["Server"]["redis_version"])
	}
	return out
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
	for _, p := range []part{atCatalog, atProfile, atProgress, atGateway} {
		n := 1
		if p == atProgress {
			n = max(1, f.replicas)
		}
		addresses, err := f.servers.addresses(3 * n)
		if err != nil {
			return err
		}
		f.where[p], f.health[p], f.metrics[p] = addresses[:n], addresses[n:2*n], addresses[2*n:]
		if p == atGateway {
			f.health[p] = f.where[p]
		}
	}
	for _, p := range []part{atCatalog, atProfile, atProgress, atGateway} {
		if err := f.startService(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// startService starts the processes of a service, with the memory that each has in deploy/k8s.
func (f *fleet) startService(ctx context.Context, p part, more ...string) error {
	f.own[p], f.pids[p] = nil, nil
	for i := range f.where[p] {
		cmd := exec.CommandContext(ctx, f.bin, append(f.arguments(p, i), more...)...)
		cmd.Env = append(cmd.Environ(), f.memoryLimit(p))
		s, err := start(ctx, f.health[p][i], cmd, "/readyz")
		if err != nil {
			return err
		}
		f.own[p], f.pids[p] = append(f.own[p], s), append(f.pids[p], s.cmd.Process.Pid)
	}
	if p == atGateway {
		f.gateway = f.own[p][0]
	}
	return nil
}

// arguments are those of the i-th process of a service.
func (f *fleet) arguments(p part, i int) []string {
	name := partName(p)
	args := []string{"serve", name, "--data", dataFolder(f.dir), "--log-level", "warn", "--drain-delay", "0s", "--metrics-addr", f.metrics[p][i]}
	if p == atGateway {
		args = append(args, "--http", f.where[p][i])
	} else {
		args = append(args, "--listen", f.where[p][i], "--health-addr", f.health[p][i], "--database-url", f.url("app_"+name, "preceptor"))
	}
	if p == atProgress {
		args = append(args, "--redis-url", "redis://"+f.redis.Options().Addr)
	}
	for _, other := range []part{atProfile, atCatalog, atProgress} {
		args = append(args, "--"+partName(other)+"-addr", strings.Join(f.where[other], ","))
	}
	return args
}

func (f *fleet) stopService(p part) {
	for _, s := range f.own[p] {
		s.stop()
	}
	f.own[p] = nil
}

// renew starts the gateway and progress anew, so that their memory shows what is in it. The gateway may get more arguments.
func (f *fleet) renew(ctx context.Context, gateway ...string) error {
	f.stopService(atGateway)
	f.stopService(atProgress)
	if err := f.startService(ctx, atProgress); err != nil {
		return err
	}
	return f.startService(ctx, atGateway, gateway...)
}
