package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"   // to be in the config
	_ "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1" // to be in the config
	_ "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1" // to be in the config
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

var update = flag.Bool("update", false, "write proto/service_config.json anew")

// published reads the service config of the repository.
func published(t *testing.T) string {
	t.Helper()
	return string(must(os.ReadFile(filepath.Join("..", "..", "proto", "service_config.json"))))
}

// TestServiceConfigIsPublished holds the file for other clients to what ours use.
func TestServiceConfigIsPublished(t *testing.T) {
	var want bytes.Buffer
	if err := json.Indent(&want, []byte(must(rpc.ServiceConfig(protoregistry.GlobalFiles))), "", "  "); err != nil {
		t.Fatal(err)
	}
	want.WriteByte('\n')
	if *update {
		if err := os.WriteFile(filepath.Join("..", "..", "proto", "service_config.json"), want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if published(t) != want.String() {
		t.Error("proto/service_config.json is out of date: go test ./internal/rpc -run ServiceConfig -update writes it anew")
	}
}

// TestServiceConfigCoversEveryRPC reads the published file: each RPC is there once, each unary one with a
// deadline, and only what reads or says that it may run twice is made again.
func TestServiceConfigCoversEveryRPC(t *testing.T) {
	var config struct {
		MethodConfig []struct {
			Name                 []struct{ Service, Method string }
			Timeout, RetryPolicy json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(published(t)), &config); err != nil {
		t.Fatal(err)
	}
	type policy struct {
		deadline string
		again    bool
	}
	found := map[string]policy{}
	for _, c := range config.MethodConfig {
		for _, name := range c.Name {
			method := "/" + name.Service + "/" + name.Method
			if _, twice := found[method]; twice {
				t.Errorf("%s is there twice", method)
			}
			found[method] = policy{string(c.Timeout), len(c.RetryPolicy) > 0}
		}
	}
	rules := auth.Rules(protoregistry.GlobalFiles)
	for _, rule := range rules {
		options, _ := rule.Descriptor.Options().(*descriptorpb.MethodOptions)
		route, _ := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
		stream := rule.Descriptor.IsStreamingServer() || rule.Descriptor.IsStreamingClient()
		safe := route.GetGet() != "" || options.IdempotencyLevel != nil
		got, ok := found[rule.Method]
		deadline := `"10.000s"`
		switch {
		case stream:
			deadline = ""
		case rule.Descriptor.Name() == "ImportCatalog":
			deadline = `"60.000s"`
		}
		if want := (policy{deadline, safe}); !ok || got != want {
			t.Errorf("%s: %+v, %t; want %+v", rule.Method, got, ok, want)
		}
		for _, write := range []string{"Create", "Update", "Publish", "Archive", "Restore", "Revoke", "Reinstate", "Mandate", "Withdraw", "Rebuild", "Delete"} {
			if got.again && strings.HasPrefix(string(rule.Descriptor.Name()), write) {
				t.Errorf("%s is made again, though it writes", rule.Method)
			}
		}
	}
	if len(rules) < 40 || len(found) != len(rules) {
		t.Errorf("%d in the file, of %d RPCs", len(found), len(rules))
	}
}

// TestOtherClientsUseTheServiceConfig gives grpc-go the published file and nothing else of ours.
func TestOtherClientsUseTheServiceConfig(t *testing.T) {
	var calls atomic.Int32
	var left atomic.Int64
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		remaining, _ := testenv.TimeLeft(stream.Context())
		left.Store(int64(remaining))
		calls.Add(1)
		// A client whose message was not taken yet reports that instead of the status.
		if err := stream.RecvMsg(&progressv1.GetProgressRequest{}); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "down")
	}))
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = server.Serve(lis) }()
	defer server.Stop()
	for _, test := range []struct {
		method string
		tries  int32
	}{
		{progressv1.ProgressService_GetProgress_FullMethodName, 4},
		{progressv1.ProgressService_BatchRecordEvents_FullMethodName, 4},
		{progressv1.ProgressService_CreateEnrollment_FullMethodName, 1},
		{progressv1.ProgressService_CreateWatchTicket_FullMethodName, 1},
		{progressv1.ProgressService_RevokeAward_FullMethodName, 1},
	} {
		conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultServiceConfig(published(t)))
		if err != nil {
			t.Fatal(err)
		}
		calls.Store(0)
		left.Store(0)
		err = conn.Invoke(context.Background(), test.method, &progressv1.GetProgressRequest{}, &progressv1.GetProgressResponse{})
		if status.Code(err) != codes.Unavailable || calls.Load() != test.tries {
			t.Errorf("%s: %d calls, %v; want %d", test.method, calls.Load(), err, test.tries)
		}
		if got := time.Duration(left.Load()); got < rpc.DefaultDeadline/2 || got > rpc.DefaultDeadline {
			t.Errorf("%s: a deadline in %s", test.method, got)
		}
		_ = conn.Close()
	}
}
