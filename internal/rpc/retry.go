package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer/roundrobin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
)

// What a call that failed UNAVAILABLE is given, where it may be made again. Nothing is
// hedged: a slow response is not a lost one.
const (
	maxTries     = 4
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = time.Second
	// retryTokens is how much failing a connection forgives before it retries no more: a
	// failure costs one, a success gives a tenth back, and below half there are no retries.
	// So an outage is not made worse by its clients.
	retryTokens = 100
)

// pushbackKey is how gRPC's servers make clients wait before they to try again; below zero: never.
const pushbackKey = "grpc-retry-pushback-ms"

// repeatable is which of our methods may be sent a second time, by what their protos say.
type repeatable struct {
	// always: those that read, and those whose second run changes nothing. once: all others. Both by name.
	always, once []protoreflect.MethodDescriptor
	// keyed: creates among the latter, which may be repeated when they carry an idempotency key.
	keyed map[string]bool
}

// repeatableIn reads the protos.
func repeatableIn(files *protoregistry.Files) repeatable {
	r := repeatable{keyed: map[string]bool{}}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "preceptor.") {
			return true
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				r.add(methods.Get(j))
			}
		}
		return true
	})
	byName := func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	}
	slices.SortFunc(r.always, byName)
	slices.SortFunc(r.once, byName)
	return r
}

func (r *repeatable) add(method protoreflect.MethodDescriptor) {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	rule, _ := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
	access, _ := proto.GetExtension(options, accessv1.E_Access).(*accessv1.Access)
	safe := rule.GetGet() != "" || options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
	if safe && !method.IsStreamingClient() {
		r.always = append(r.always, method)
		return
	}
	r.once = append(r.once, method)
	if access.GetIdempotentCreate() && !method.IsStreamingClient() {
		r.keyed[pathOf(method)] = true
	}
}

// ServiceConfig returns gRPC's service config for our RPCs in the files: how calls are spread over the
// servers of a name, how long they may take, and which are made again when a server is UNAVAILABLE.
// proto/service_config.json is a copy for other clients; Dial uses it with a way to spread calls of its own.
func ServiceConfig(files *protoregistry.Files) (string, error) {
	r := repeatableIn(files)
	return r.serviceConfig(roundrobin.Name)
}

// methodConfig is what a service config says of some methods.
type methodConfig struct {
	Names       []methodName   `json:"name"`
	Timeout     string         `json:"timeout,omitempty"`
	RetryPolicy map[string]any `json:"retryPolicy,omitempty"`
}

type methodName struct {
	Service string `json:"service"`
	Method  string `json:"method"`
}

// pathOf is a method's name in calls.
func pathOf(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

func (r *repeatable) serviceConfig(policy string) (string, error) {
	retry := map[string]any{
		"maxAttempts": maxTries, "backoffMultiplier": 2, "retryableStatusCodes": []string{"UNAVAILABLE"},
		"initialBackoff": inSeconds(firstBackoff), "maxBackoff": inSeconds(maxBackoff),
	}
	var methods []methodConfig
	quick, long := r.once, []protoreflect.MethodDescriptor(nil)
	if i := slices.IndexFunc(r.once, func(m protoreflect.MethodDescriptor) bool { return pathOf(m) == importMethod }); i >= 0 {
		quick, long = slices.Concat(r.once[:i], r.once[i+1:]), r.once[i:i+1]
	}
	for _, kind := range []struct {
		methods []protoreflect.MethodDescriptor
		stream  bool
		config  methodConfig
	}{
		{r.always, false, methodConfig{Timeout: inSeconds(DefaultDeadline), RetryPolicy: retry}},
		{quick, false, methodConfig{Timeout: inSeconds(DefaultDeadline)}},
		{long, false, methodConfig{Timeout: inSeconds(ImportDeadline)}},
		{r.always, true, methodConfig{RetryPolicy: retry}}, // again only before its first message
		{r.once, true, methodConfig{}},
	} {
		for _, m := range kind.methods {
			if kind.stream == (m.IsStreamingServer() || m.IsStreamingClient()) {
				kind.config.Names = append(kind.config.Names, methodName{string(m.Parent().FullName()), string(m.Name())})
			}
		}
		if len(kind.config.Names) > 0 {
			methods = append(methods, kind.config)
		}
	}
	config := map[string]any{
		"loadBalancingConfig": []any{map[string]any{policy: struct{}{}}},
		"retryThrottling":     map[string]any{"maxTokens": retryTokens, "tokenRatio": 0.1},
	}
	if len(methods) > 0 {
		config["methodConfig"] = methods
	}
	text, err := json.Marshal(config)
	return string(text), err
}

// inSeconds is how service configs spell a duration.
func inSeconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

// keyedUnary repeats creates that carry a key. gRPC's own retries go by the method alone,
// and without the key a create that was lost on its way back would be made twice.
func (r *repeatable) keyedUnary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	if !r.keyed[method] || !hasKey(ctx) {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	wait := firstBackoff
	for try := 1; ; try++ {
		var trailer metadata.MD
		err := invoke(ctx, method, req, reply, cc, append(slices.Clip(opts), grpc.Trailer(&trailer))...)
		if status.Code(err) != codes.Unavailable || try == maxTries || len(trailer.Get(pushbackKey)) > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(wait)): //nolint:gosec // jitter is no secret
		}
		wait = min(2*wait, maxBackoff)
	}
}

func hasKey(ctx context.Context) bool {
	md, _ := metadata.FromOutgoingContext(ctx)
	return len(md.Get(idempotencyKey)) > 0
}
