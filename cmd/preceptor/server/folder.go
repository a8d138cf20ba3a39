package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/backup"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// CommandLife is how long a token of a command is valid.
const CommandLife = 10 * time.Minute

// Folder is a data folder that no server has, open for one command. The command makes the requests
// that it would make of a running server; nothing listens, and the services do nothing by themselves.
type Folder struct {
	process *process
	issuer  *auth.LocalIssuer
	client  *http.Client
	faults  faultLog
}

// FolderOptions are what a command needs.
type FolderOptions struct {
	Dir string
	// Table is the table of services, and Services names those to open. Calls to another are UNAVAILABLE.
	Table    Table
	Services []string
	Version  string
	Now      func() time.Time
}

// OpenFolder opens services on a data folder, and locks them there. Returns an error with
// sqldb.ReasonFolderLocked while another process has one of them.
func OpenFolder(ctx context.Context, o FolderOptions) (_ *Folder, err error) {
	var services Table
	for _, s := range o.Table {
		for _, name := range o.Services {
			if s.Name == name {
				services = append(services, s)
			}
		}
	}
	if err := present(o.Dir, services); err != nil {
		return nil, err
	}
	tuneGC()
	faults := newFaultLog()
	p := newProcess(Options{
		Config: &Config{Data: o.Dir}, Services: o.Table, Logger: slog.New(faults), Now: o.Now, Version: o.Version,
	})
	p.idle = true
	f := &Folder{process: p, faults: faults}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(ctx))
		}
	}()
	for _, s := range services {
		release, err := sqldb.LockFolder(o.Dir, s.Name)
		if err != nil {
			return nil, err
		}
		p.onStop(func(context.Context) error { return release() })
	}
	if f.issuer, err = auth.NewLocalIssuer(o.Now); err != nil {
		return nil, err
	}
	if p.verifier, err = auth.NewVerifier(auth.VerifierOptions{Local: f.issuer, Logger: p.log, Now: o.Now}); err != nil {
		return nil, err
	}
	if err := p.openAll(ctx, services); err != nil {
		return nil, err
	}
	return f, f.serve(ctx)
}

// present refuses a folder that does not hold the databases of the services.
func present(dir string, services Table) error {
	if err := backup.CheckWhole(dir); err != nil {
		return err
	}
	for _, s := range services {
		if _, err := os.Stat(filepath.Join(dir, s.Name+".db")); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no %s.db in %s to work on: name a data folder with --data", s.Name, dir)
		} else if err != nil {
			return FolderError(dir, err)
		}
	}
	return nil
}

// serve starts the gateway where only the folder's client reaches it.
func (f *Folder) serve(ctx context.Context) error {
	p := f.process
	p.report(func(context.Context) health.State { return health.State{Ready: true} })
	gateway, err := p.openGateway(ctx, p.inProcess(Gateway, p.table.Names()))
	if err != nil {
		return err
	}
	lis := newPipe()
	p.serveHTTP(lis, gateway)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return lis.dial(ctx) }}
	p.onStop(func(context.Context) error {
		transport.CloseIdleConnections()
		return nil
	})
	f.client = &http.Client{Transport: transport}
	return nil
}

// Client returns the client whose requests the folder serves, whatever host they name.
func (f *Folder) Client() *http.Client { return f.client }

// Token returns a token for a command, which only this folder accepts.
func (f *Folder) Token(subject string, role auth.Role) (string, error) {
	return f.issuer.MintCommand(subject, role, CommandLife)
}

// Fault returns why a request failed, where its response says no more than the id by which a server's
// log has it; "" where nothing is known.
func (f *Folder) Fault(requestID string) string { return f.faults.of(requestID) }

// Close stops the services and unlocks the folder.
func (f *Folder) Close(ctx context.Context) error { return f.process.stop(ctx) }
