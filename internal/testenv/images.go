package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// PostgresDir returns a new folder that a Postgres may use, gone when t ends.
func PostgresDir(t T) string {
	t.Helper()
	return postgresDir(t)
}

// PostgresUser returns the user and the group that a Postgres runs as, as chown takes them.
func PostgresUser(t T) string {
	t.Helper()
	if cred := postgresUser(t); cred != nil {
		return fmt.Sprintf("%d:%d", cred.Uid, cred.Gid)
	}
	return fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
}

// PostgresByCommand starts a server in a folder of PostgresDir as the image of Postgres does where the
// data folder is new: by command, which is "postgres" and its arguments, with a password for the
// superuser. parameters are those of its URL.
func PostgresByCommand(t T, dir string, command []string, password, parameters string) *PostgresProcess {
	t.Helper()
	p := &PostgresProcess{bin: postgresBin(t), dir: dir, port: strconv.Itoa(Ports(t, 1)[0])}
	file := filepath.Join(dir, "password")
	must(t, os.WriteFile(file, []byte(password), 0o644)) //nolint:gosec // for the user postgres to read
	out, err := postgresCommand(t, dir, filepath.Join(p.bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres", "--pwfile="+file,
		"--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "-E", "UTF8", "--locale=C", "--no-instructions").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Host: p.Addr(), Path: "/postgres", RawQuery: parameters}
	p.URL = u.String()
	p.args = slices.Concat(command[1:], []string{"-D", filepath.Join(dir, "data"), "-p", p.port, "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"})
	p.Start(t)
	return p
}

// RedisByCommand starts a server by a command, and waits until another, which is its health check,
// succeeds and prints PONG.
func RedisByCommand(t T, command, check []string, env ...string) {
	t.Helper()
	cmd := exec.Command(lookPath(t, command[0]), append(command[1:], "--bind", "127.0.0.1", "--dir", t.TempDir())...) //nolint:gosec // a test's own
	node := start(t, cmd, syscall.SIGKILL)
	node.wait(t, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		asks := exec.CommandContext(ctx, lookPath(t, check[0]), check[1:]...) //nolint:gosec // a test's own
		asks.Env = append(os.Environ(), env...)
		out, err := asks.CombinedOutput()
		if err == nil && !bytes.Contains(out, []byte("PONG")) {
			err = errors.New(string(out))
		}
		return err
	})
}
