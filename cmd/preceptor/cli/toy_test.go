package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// toy is a service that exists only here: it echoes, with a greeting from its own flag, what its own
// database and the profile service hold.
type toy struct {
	echo     *rpctest.Service
	greeting string
}

func newToy(t *testing.T) *toy {
	t.Helper()
	echo, err := rpctest.New()
	if err != nil {
		t.Fatal(err)
	}
	echo.Files().RangeFiles(func(file protoreflect.FileDescriptor) bool {
		err = protoregistry.GlobalFiles.RegisterFile(file)
		return err == nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return &toy{echo: echo}
}

// row is all that a new service adds to the program.
func (s *toy) row(port int) server.Service {
	return server.Service{
		Name: "toy", Port: port, Needs: []string{server.Profile}, Open: s.open,
		Migrations: func() fs.FS {
			const steps = "-- +goose Up\n-- format: 1\n-- min_binary: 1\nCREATE TABLE toys (name TEXT NOT NULL PRIMARY KEY);\nINSERT INTO toys VALUES ('bear');\n"
			return fstest.MapFS{"sqlite/00001_toy.sql": {Data: []byte(steps)}, "postgres/00001_toy.sql": {Data: []byte(steps)}}
		},
		Settings: []server.Setting{{
			Flag: "toy-greeting", Usage: "how the toy greets", Default: "hello", InOneProcess: true,
			To: func(*server.Config) any { return &s.greeting },
		}},
	}
}

func (s *toy) open(_ context.Context, o server.Opening) (server.Opened, error) {
	profiles := profilev1.NewProfileServiceClient(o.Conns[server.Profile])
	s.echo.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		var name string
		err := o.DB.Read(ctx, func(ctx context.Context, q sqldb.Tx) error {
			return q.QueryRowContext(ctx, `SELECT name FROM toys`).Scan(&name)
		})
		if err != nil {
			return nil, err
		}
		token := metadata.ValueFromIncomingContext(ctx, "authorization")[0]
		got, err := profiles.GetLearner(metadata.AppendToOutgoingContext(ctx, "authorization", token), &profilev1.GetLearnerRequest{LearnerId: auth.Me})
		if err != nil {
			return nil, err
		}
		req.SetText("text", s.greeting+" "+name+" from "+got.GetLearner().GetDisplayName())
		return req, nil
	}
	return server.Opened{
		Register: func(to grpc.ServiceRegistrar, _ <-chan struct{}) { s.echo.Register(to) },
		State: func(context.Context) health.State {
			return health.State{Ready: true, Degraded: []health.Missing{{Text: "the toy has no batteries"}}}
		},
	}, nil
}

// program runs commands with a table of services.
type program struct{ services server.Table }

// run runs a command to its end.
func (p program) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errors bytes.Buffer
	code = Run(t.Context(), Process{
		Args: append([]string{"preceptor"}, args...), Stdout: &out, Stderr: &errors, Version: "test", Services: p.services, Now: testenv.Now,
	})
	return out.String(), errors.String(), code
}

// start runs a command that serves until the test ends or stop is called, and returns the addresses in its log.
func (p program) start(t *testing.T, args ...string) (at map[string]string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, Process{
			Args: append([]string{"preceptor", "serve", "--log-format", "json", "--drain-delay", "0s"}, args...), Stdout: io.Discard, Stderr: writer,
			Version: "test", Services: p.services, Now: testenv.Now, Started: testenv.Now(),
		})
		writer.Close()
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
	})
	t.Cleanup(stop)
	lines := json.NewDecoder(log)
	for at["msg"] != "ready" {
		var line map[string]any
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("%v ended before it was ready: %v", args, err)
		}
		at = map[string]string{}
		for key, value := range line {
			if text, ok := value.(string); ok {
				at[key] = text
			}
		}
	}
	go func() { _, _ = io.Copy(io.Discard, io.MultiReader(lines.Buffered(), log)) }()
	return at, stop
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func contains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, part := range words {
		if !strings.Contains(text, part) {
			t.Errorf("%s: %q is missing in\n%s", what, part, text)
		}
	}
}

// TestAddingAService adds a service by one row of the table, and by nothing else.
func TestAddingAService(t *testing.T) {
	port := testenv.Ports(t, 1)[0]
	s := newToy(t)
	p := program{append(server.Services(), s.row(port))}
	data := t.TempDir()

	help, _, _ := p.run(t, "serve", "--help")
	contains(t, "help", help, "[profile|catalog|progress|toy|gateway]", "--toy-addr", "toy 127.0.0.1:"+strconv.Itoa(port), "--toy-greeting", "For everything in one process, and for toy")
	_, usage, code := p.run(t, "serve", "nothing")
	contains(t, "usage", usage, "want profile, catalog, progress, toy or gateway")
	if _, refused, _ := p.run(t, "serve", "profile", "--toy-greeting", "hi", "--data", data); code != 2 || !strings.Contains(refused, "--toy-greeting means nothing") {
		t.Errorf("exit code %d, %s", code, refused)
	}
	_, unreached, code := p.run(t, "migrate", "toy", "--database-url", "postgres://toy@127.0.0.1:1/x")
	if contains(t, "migrate", unreached, "127.0.0.1:1"); code != 1 {
		t.Errorf("migrate: exit code %d", code)
	}

	t.Run("everything in one process", func(t *testing.T) {
		at, _ := p.start(t, "--data", data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--health-addr", "127.0.0.1:0", "--toy-greeting", "welcome")
		conn, err := grpc.NewClient(at["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		token, _, _ := p.run(t, "token", "--data", data, "--subject", "ada", "--name", "Ada")
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+strings.TrimSpace(token))
		got, err := s.echo.Call(ctx, conn, rpctest.Everyone, s.echo.New())
		if err != nil || got.Text("text") != "welcome bear from Ada" {
			t.Errorf("%v, %v", got, err)
		}
		contains(t, "readyz", get(t, "http://"+at["health"]+"/readyz"), "the toy has no batteries")
	})
	t.Run("by itself", func(t *testing.T) {
		health := "127.0.0.1:" + strconv.Itoa(testenv.Ports(t, 1)[0])
		gateway, _ := p.start(t, "gateway", "--data", data, "--http", "127.0.0.1:0", "--health-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0")
		contains(t, "the gateway without it", get(t, "http://"+gateway["health"]+"/readyz"), "toy cannot be reached")
		at, stop := p.start(t, "toy", "--data", data, "--health-addr", health)
		if want := net.JoinHostPort("127.0.0.1", strconv.Itoa(port)); at["grpc"] != want {
			t.Errorf("it listens on %s, want %s", at["grpc"], want)
		}
		contains(t, "its health", get(t, "http://"+health+"/readyz"), `"status":"degraded"`, "the toy has no batteries")
		eventually(t, func() bool {
			return strings.Contains(get(t, "http://"+gateway["health"]+"/readyz"), "toy is degraded: its own /readyz says why")
		})
		_, refused, code := p.run(t, "serve", "toy", "--data", data, "--listen", "127.0.0.1:0")
		if contains(t, "a second one", refused, "in use by process"); code != 1 {
			t.Errorf("a second one on the folder: exit code %d", code)
		}
		stop()
	})
	to := filepath.Join(t.TempDir(), "backup")
	if out, why, code := p.run(t, "backup", "--data", data, "--to", to); code != 0 || !strings.Contains(out, "toy: ") {
		t.Errorf("backup: exit code %d, %s%s", code, out, why)
	}
	if out, why, code := p.run(t, "restore", "--from", to, "--data", filepath.Join(t.TempDir(), "data")); code != 0 || !strings.Contains(out, "toy: restored") {
		t.Errorf("restore: exit code %d, %s%s", code, out, why)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("it never came true")
}

// TestStartOrder holds each service to starting after those that it needs, and the table's order to deciding the rest.
func TestStartOrder(t *testing.T) {
	t.Parallel()
	if got := server.Services().InStartOrder().Names(); !slices.Equal(got, []string{"catalog", "profile", "progress"}) {
		t.Errorf("%q", got)
	}
	circle := server.Table{{Name: "a", Needs: []string{"b"}}, {Name: "b", Needs: []string{"a"}}, {Name: "c", Needs: []string{"elsewhere"}}}
	if got := circle.InStartOrder().Names(); !slices.Equal(got, []string{"c", "a", "b"}) {
		t.Errorf("%q", got)
	}
}
