package server

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// The names of the services that commands are about, and of the gateway, as certificates spell them.
const (
	Profile  = "profile"
	Catalog  = "catalog"
	Progress = "progress"
	Gateway  = "gateway"
)

// Service is a row of the table of services. To add a service:
//
//  1. Write its API in proto/preceptor/NAME/v1, with an access rule on each RPC, and run `make generate`.
//  2. Write the package services/NAME, with sqlstore/migrations, clients/ and grpcapi/.
//  3. Add a row to Services: its flags, database, lock, connections, health, metrics, migrate, backup and audit follow.
//  4. Register its API with the gateway: its client in gateway/gateway.go, its file in gateway/routes.go.
//  5. Add to deploy/ what `make kube-check` then names.
type Service struct {
	Name string
	// Port is where it listens on this machine unless another address is given.
	Port int
	// Migrations returns the steps of its schema.
	Migrations func() fs.FS
	// Needs names the services that it calls and that open before it in one process. Calls names the
	// others that it calls: until one is open, calls to it are UNAVAILABLE.
	Needs, Calls []string
	// Settings are those that only this service has.
	Settings []Setting
	// MaxRecv is the largest message that it receives, in bytes; 0 for the usual limit.
	MaxRecv int
	// Audited reports whether it records admin commands in a chain in its database.
	Audited bool
	// Open starts it on its database.
	Open func(ctx context.Context, o Opening) (Opened, error)
	// Restored changes a database that came from a backup, before it is served; nil for nothing.
	Restored func(ctx context.Context, db *sqldb.DB) error
}

// Opening is what a service is opened with.
type Opening struct {
	Config *Config
	Logger *slog.Logger
	Now    func() time.Time
	// Metrics and Tracer are nil where the settings name none; their methods take nil.
	Metrics *metrics.Registry
	Tracer  *tracing.Tracer
	DB      *sqldb.DB
	// Conns are the connections to the services that it needs and calls, by name.
	Conns map[string]grpc.ClientConnInterface
	// Idle asks for a service that does only what it is called for, and nothing by itself.
	Idle bool
	// OnStop adds to what the stop does, the last first. The service's server has stopped by then.
	OnStop func(func(context.Context) error)
	// Keeps is what may be kept in memory.
	Keeps keeps
	// OnQuiet adds to what is done when load is over: giving that up.
	OnQuiet func(func(context.Context))
}

// Opened is a service that is open.
type Opened struct {
	// Register registers its API on a server, whose streams end when draining closes.
	Register func(to grpc.ServiceRegistrar, draining <-chan struct{})
	// Resolver maps tokens to learners; nil in a service that stores nothing by learner.
	Resolver auth.Resolver
	// Managers knows who manages whom; nil in a service that has nothing for managers.
	Managers auth.Managers
	// Tickets takes the tickets that it gives; nil in a service that gives none.
	Tickets auth.Tickets
	// State returns whether it can do its work; nil where it always can.
	State func(context.Context) health.State
}

// Setting is a setting of one service alone, with its flag.
type Setting struct {
	// Flag is the flag's name, Usage its help, and Default what it is when not given.
	Flag, Usage, Default string
	// InOneProcess reports whether it means something too where all services run in one process.
	InOneProcess bool
	// To returns where the value is: a *string or a *bool.
	To func(*Config) any
	// Check refuses a value; nil for none.
	Check func(*Config) error
}

// Table is the table of services, in the order in which lists name them.
type Table []Service

// Services returns the services of this program.
func Services() Table { return Table{profileRow(), catalogRow(), progressRow()} }

// Names returns the services' names.
func (t Table) Names() []string {
	names := make([]string, len(t))
	for i, s := range t {
		names[i] = s.Name
	}
	return names
}

// Audited returns the names of the services that record admin commands.
func (t Table) Audited() []string {
	var names []string
	for _, s := range t {
		if s.Audited {
			names = append(names, s.Name)
		}
	}
	return names
}

// Find returns the row of a name, and whether there is one.
func (t Table) Find(name string) (Service, bool) {
	i := slices.IndexFunc(t, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return Service{}, false
	}
	return t[i], true
}

// InStartOrder returns the services so that each comes after those that it needs. The reverse is the
// order of a backup: a copy then names nothing younger than the copies that are made after it.
func (t Table) InStartOrder() Table {
	var ordered Table
	for len(ordered) < len(t) {
		next := slices.IndexFunc(t, func(s Service) bool {
			_, placed := ordered.Find(s.Name)
			return !placed && !slices.ContainsFunc(s.Needs, func(need string) bool {
				_, known := t.Find(need)
				_, open := ordered.Find(need)
				return known && !open
			})
		})
		if next < 0 {
			return append(ordered, t.without(ordered)...) // they need each other: calls made too early fail
		}
		ordered = append(ordered, t[next])
	}
	return ordered
}

func (t Table) without(others Table) Table {
	return slices.DeleteFunc(slices.Clone(t), func(s Service) bool {
		_, found := others.Find(s.Name)
		return found
	})
}

// peers are the services that it calls.
func (s Service) peers() []string { return slices.Concat(s.Needs, s.Calls) }

// Addr is the address on this machine where it listens and is looked for unless another is given.
func (s Service) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// List joins names as a sentence does: "profile, catalog or progress".
func List(names []string, conjunction string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + conjunction + " " + names[last]
}
