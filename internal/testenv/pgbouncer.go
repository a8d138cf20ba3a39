package testenv

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PgBouncer starts a pooler before the Postgres server of base, which lives as long as t,
// and gives a function that turns a url of the server into one through the pooler. It
// asks the users for no password, pools by the transaction with two server connections
// for each, so that they change hands, and refuses what it refuses as installed.
func PgBouncer(t T, base string, users ...string) func(direct string) string {
	t.Helper()
	path := lookPath(t, "pgbouncer")
	server, err := url.Parse(base)
	must(t, err)
	dir := postgresDir(t)
	port := strconv.Itoa(Ports(t, 1)[0])
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(content), 0o644)) //nolint:gosec // for the user postgres to read
		return file
	}
	var list strings.Builder
	for _, user := range append(users, server.User.Username()) {
		fmt.Fprintf(&list, "%q \"\"\n", user)
	}
	file := write("pgbouncer.ini", fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 2
max_client_conn = 500
`, server.Hostname(), server.Port(), port, write("users.txt", list.String())))
	pooler := start(t, postgresCommand(t, dir, path, file), syscall.SIGINT)
	through := func(direct string) string {
		u, err := url.Parse(direct)
		must(t, err)
		u.Host = "127.0.0.1:" + port
		return u.String()
	}
	pooler.wait(t, func() error {
		conn, err := pgx.Connect(context.Background(), through(base))
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	})
	return through
}
