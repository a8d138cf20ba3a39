package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestOwnTimeoutsAreNoFaults calls each RPC with time limits that nothing can be done in, as nobody, as a
// forger and as an admin. What a client sets itself is logged as nothing that anybody must mend, has no code
// of a fault, and leaves the process ready.
func TestOwnTimeoutsAreNoFaults(t *testing.T) {
	t.Parallel()
	log := &logBook{}
	var mu sync.Mutex
	seen := map[string]int{}
	p := openAllWith(t, testenv.Now, func(p *process) {
		p.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
		p.calls = func(method, code string, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if seen[code]++; code == "INTERNAL" || code == "UNKNOWN" || code == "UNAVAILABLE" || code == "DATA_LOSS" {
				t.Errorf("%s: %s", method, code)
			}
		}
		p.cfg.GRPC = "127.0.0.1:0"
	})
	if err := p.offerGRPC(t.Context()); err != nil {
		t.Fatal(err)
	}
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := issuer.Mint("admin", []auth.Role{auth.RoleAdmin, auth.RoleAuthor, auth.RoleLearner, auth.RoleManager}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		req := message(t, rule.Descriptor.Input())
		if rule.NamesLearner {
			req.ProtoReflect().Set(rule.Descriptor.Input().Fields().ByName("learner_id"), protoreflect.ValueOfString(auth.Me))
		}
		client := &rawHTTP2{address: p.at.GRPC.String()}
		client.dial(t)
		for _, token := range []string{"", "junk", admin} {
			for _, timeout := range []string{"0n", "1n", "50u", "200u", "1m", "3m"} {
				client.callWithin(t, timeout, rule.Method, token, req)
			}
		}
	}
	state := p.state(t.Context())
	if len(state.Degraded) > 0 || !state.Ready {
		t.Errorf("%+v", state)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen["DEADLINE_EXCEEDED"]+seen["CANCELLED"] == 0 || seen["UNAUTHENTICATED"] == 0 {
		t.Errorf("no time limit has passed: %v", seen)
	}
	if text := log.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "level=WARN") {
		t.Error(text)
	}
}

// dial begins a connection.
func (c *rawHTTP2) dial(t *testing.T) {
	t.Helper()
	c.conn = dialed(t, c.address)
	c.in = bufio.NewReader(c.conn)
	if _, err := io.WriteString(c.conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c.frame(t, 4, 0, 0, []byte{0, 4, 0x40, 0, 0, 0})               // the window of each stream
	c.frame(t, 8, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30)) // the window of the connection
}

// callWithin makes one call with a time limit, and waits for its end.
func (c *rawHTTP2) callWithin(t *testing.T, timeout, method, token string, req proto.Message) {
	t.Helper()
	id := 2*c.streams + 1
	c.streams++
	fields := [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", method},
		{":authority", "x"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
		{"grpc-timeout", timeout},
	}
	if token != "" {
		fields = append(fields, [2]string{"authorization", "Bearer " + token})
	}
	var packed []byte
	for _, f := range fields {
		packed = append(packed, literal(f[0], f[1])...)
	}
	text, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	c.frame(t, 1, 4, id, packed)
	c.frame(t, 0, 1, id, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...))
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			t.Fatal(fmt.Errorf("%s in %s: %w", method, timeout, err))
		}
		if _, err := c.in.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
			t.Fatal(err)
		}
		ends := head[3] == 3 || head[3] == 1 && head[4]&1 != 0
		if ends && int(binary.BigEndian.Uint32(head[5:])) == id {
			return
		}
	}
}
