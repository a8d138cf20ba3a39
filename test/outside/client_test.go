package outside_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.org/outside"
)

var descriptors = flag.String("descriptors", "../../bin/descriptors.binpb", "the descriptor set, which make descriptors writes")

// TestClient calls a running server.
func TestClient(t *testing.T) {
	t.Parallel()
	binary, data := filepath.Join(t.TempDir(), "preceptor"), t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "./cmd/preceptor")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := serve(t, binary, data)
	token, err := exec.CommandContext(t.Context(), binary, "token", "--data", data, "--subject", "ada").Output()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := outside.NewClient(conn, strings.TrimSpace(string(token)))
	if version, err := client.Enroll(t.Context(), "clinical-ai-engineer"); err != nil || version != 1 {
		t.Errorf("enrolled on version %d: %v", version, err)
	}
	if _, err := client.Enroll(t.Context(), "clinical-ai-engineer"); outside.Reason(err) != "ALREADY_ENROLLED" {
		t.Errorf("enrolled again: %v", err)
	}
	if _, err := outside.NewClient(conn, "none").Enroll(t.Context(), "clinical-ai-engineer"); outside.Reason(err) != "TOKEN_INVALID" {
		t.Errorf("without a token: %v", err)
	}
}

// serve starts the program, and returns where its gRPC API is.
func serve(t *testing.T, binary, data string) string {
	t.Helper()
	server := exec.CommandContext(t.Context(), binary, "serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data", data, "--log-format", "json")
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.WaitDelay = 10 * time.Second
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	var log []string
	for lines.Scan() {
		log = append(log, lines.Text())
		var line struct{ Msg, GRPC string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
			go func() {
				_, _ = io.Copy(io.Discard, stderr)
				_ = server.Wait()
			}()
			return line.GRPC
		}
	}
	t.Fatalf("the server ended:\n%s", strings.Join(log, "\n"))
	return ""
}

// TestImports proves that the generated code brings no other package of the repository along.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const ours = "github.com/preceptor-dev/preceptor/"
	var generated []string
	for path := range strings.Lines(string(out)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(path), ours)
		if ok && !strings.HasPrefix(rest, "gen/") {
			t.Errorf("the generated client imports %s", rest)
		}
		if ok {
			generated = append(generated, rest)
		}
	}
	if !slices.Contains(generated, "gen/preceptor/progress/v1") {
		t.Errorf("the client imports %q", generated)
	}
}

// TestDescriptorSet reads the set with nothing else at hand: it has all that it imports, every
// service, and the comments.
func TestDescriptorSet(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(*descriptors)
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(raw, set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []protoreflect.FullName{
		"preceptor.catalog.v1.CatalogService", "preceptor.profile.v1.ProfileService", "preceptor.progress.v1.ProgressService",
	} {
		found, err := files.FindDescriptorByName(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if comment := found.ParentFile().SourceLocations().ByDescriptor(found).LeadingComments; strings.TrimSpace(comment) == "" {
			t.Errorf("%s has no comment", name)
		}
	}
}
