//go:build realservers

package testenv_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestRedis(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(t)})
	defer func() { _ = client.Close() }()
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRedisCluster(t *testing.T) {
	addrs := testenv.RedisCluster(t, 3, 1)
	if len(addrs) != 6 {
		t.Fatal(addrs)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer func() { _ = client.Close() }()
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if err := client.Set(t.Context(), key, key, 0).Err(); err != nil {
			t.Error(err)
		}
	}
	masters := 0
	for _, addr := range addrs[:3] {
		node := redis.NewClient(&redis.Options{Addr: addr})
		role, err := node.Do(t.Context(), "ROLE").Slice()
		if err == nil && role[0] == "master" {
			masters++
		}
		_ = node.Close()
	}
	if masters != 3 {
		t.Errorf("%d of the first 3 are masters", masters)
	}
}

func TestPostgresDatabases(t *testing.T) {
	t.Parallel()
	database := testenv.Postgres(t, func(url string) error {
		return run(t.Context(), url, "CREATE TABLE t (a INT PRIMARY KEY)")
	})
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The same row in each: they share nothing.
			if err := run(t.Context(), database(t), "INSERT INTO t VALUES (1)"); err != nil {
				t.Error(err)
			}
		})
	}
}

func run(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	_ = conn.Close(ctx)
	return err
}

// TestServersDieWithTheTest runs this binary, as a test that starts a server and is killed.
func TestServersDieWithTheTest(t *testing.T) {
	if os.Getenv("TESTENV_CHILD") != "" {
		_, _ = os.Stdout.WriteString("addr=" + testenv.Redis(t) + "\n")
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestServersDieWithTheTest$")
	child.Env = append(os.Environ(), "TESTENV_CHILD=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	n, err := out.Read(buf)
	_, addr, ok := strings.Cut(strings.TrimSpace(string(buf[:n])), "addr=")
	if err != nil || !ok {
		t.Fatalf("the child printed %q, %v", buf[:n], err)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	for end := testenv.Now().Add(5 * time.Second); client.Ping(t.Context()).Err() == nil; time.Sleep(10 * time.Millisecond) {
		if testenv.Now().After(end) {
			t.Fatal("the server outlived its test")
		}
	}
}
