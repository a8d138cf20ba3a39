package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

const (
	// maxPerLearner is how many streams one learner has at once; further ones are refused.
	maxPerLearner = 20
	// maxPerConnection is more than a connection without a token needs, and less than what harms.
	maxPerConnection = 1000
	// openPerConnection is how many calls without a token one connection has at once, of each kind.
	openPerConnection = 16
	// whileHeld is how long honest clients work beside what an attack holds open.
	whileHeld = 2 * time.Second
)

// attackHealth watches the health of the program, without a token, as often as one connection lets it, and then
// over so many connections that it is used up. Whoever checks the health is served all the same.
func attackHealth(ctx context.Context, w *world) error {
	req := &healthpb.HealthCheckRequest{}
	err := w.watchMany(ctx, w.dose(10_000, 50_000), maxPerConnection, healthpb.Health_Watch_FullMethodName, "", req)
	if err != nil {
		return err
	}
	for range w.dose(80, 200) {
		c, err := w.dialH2(ctx, 1<<20)
		if err != nil {
			return err
		}
		defer c.close()
		for range openPerConnection {
			if c.call(healthpb.Health_Watch_FullMethodName, "", req) != nil || c.announce(healthpb.Health_Check_FullMethodName, "") != nil {
				w.tally.faultf("the connection has ended")
			}
			w.tally.add("watch, and a check without a message")
		}
	}
	conn, err := w.openGRPC()
	if err != nil {
		return err
	}
	defer conn.Close()
	for range 20 {
		code := w.tally.grpc("a check", conn.invoke(ctx, healthpb.Health_Check_FullMethodName, "", req, &healthpb.HealthCheckResponse{}))
		if code != codes.OK {
			w.tally.faultf("a check beside them: %s", code)
		}
	}
	return nil
}

// attackWatches watches one learner's log very often: by gRPC over one connection, and as server-sent events.
func attackWatches(ctx context.Context, w *world) error {
	req := &progressv1.WatchProgressRequest{LearnerId: "me"}
	err := w.watchMany(ctx, w.dose(3000, 20_000), maxPerLearner, progressv1.ProgressService_WatchProgress_FullMethodName, w.issuer.token("watch-grpc", "learner"), req)
	if err != nil {
		return err
	}
	return w.watchEvents(ctx, w.dose(500, 3000))
}

// watchMany opens n streams over one connection, of which at most the given number may be open at once.
func (w *world) watchMany(ctx context.Context, n, most int, method, token string, req proto.Message) error {
	conn, err := w.dialH2(ctx, 1<<20)
	if err != nil {
		return err
	}
	sent := 0
	for sent < n && conn.call(method, token, req) == nil {
		sent++
	}
	// Each is admitted or refused; of a connection that the server has ended, nothing more comes.
	err = eventually(ctx, "the fate of every stream", func() bool {
		open, began, _ := conn.held()
		return conn.gone() || open <= began
	})
	if err != nil {
		w.tally.faultf("%s: %v", method, err)
	}
	pause(ctx, whileHeld)
	open, _, ended := conn.held()
	if conn.gone() {
		open = 0
	}
	w.tally.add(fmt.Sprintf("connection with %s", map[bool]string{true: "an end", false: "no end"}[conn.gone()]))
	for how, times := range ended {
		for range times {
			w.tally.add(how)
		}
		if how == codes.Internal.String() || how == codes.Unknown.String() {
			w.tally.serverFaultf("%s: %d × %s", method, times, how)
		}
	}
	for range open {
		w.tally.add("stream held")
	}
	if open > most {
		w.tally.faultf("%s: of %d streams over one connection, %d are open at once", method, sent, open)
	}
	conn.close()
	// What was held is given back: a single stream is admitted again.
	return eventually(ctx, "one more stream of "+method, func() bool {
		again, err := w.dialH2(ctx, 1<<20)
		if err != nil {
			return false
		}
		defer again.close()
		if again.call(method, token, req) != nil {
			return false
		}
		for range 40 {
			if _, began, ended := again.held(); began > 0 {
				return true
			} else if len(ended) > 0 {
				return false
			}
			pause(ctx, 50*time.Millisecond)
		}
		return false
	})
}

// watchEvents opens n watches of one learner over REST.
func (w *world) watchEvents(ctx context.Context, n int) error {
	token := w.issuer.token("watch-rest", "learner")
	const path = "/v1/learners/me/progress:watch"
	if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/learners/me", token: token}); a == nil || a.status != http.StatusOK {
		return fmt.Errorf("no learner to watch: %v", a)
	}
	var mu sync.Mutex
	var held []io.Closer
	var opening sync.WaitGroup
	places := make(chan struct{}, 50)
	for range n {
		places <- struct{}{}
		opening.Go(func() {
			defer func() { <-places }()
			status, conn := w.openEvents(ctx, path, token)
			w.tally.add(status)
			switch status {
			case "200":
				mu.Lock()
				held = append(held, conn)
				mu.Unlock()
				return
			case "429":
			default:
				w.tally.faultf("a watch over REST: %s", status)
			}
			if conn != nil {
				conn.Close()
			}
		})
	}
	opening.Wait()
	pause(ctx, whileHeld)
	if len(held) > maxPerLearner {
		w.tally.faultf("of %d watches of one learner over REST, %d are open at once", n, len(held))
	}
	for _, conn := range held {
		conn.Close()
	}
	return eventually(ctx, "one more watch over REST", func() bool {
		status, conn := w.openEvents(ctx, path, token)
		if conn != nil {
			conn.Close()
		}
		return status == "200"
	})
}

// openEvents opens a watch, and returns the response's status with the connection, which ends its body.
func (w *world) openEvents(ctx context.Context, path, token string) (string, net.Conn) {
	conn, err := dial(ctx, attackerAddr, w.httpAddr())
	if err != nil {
		return "no connection", nil
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", path, token)
	_ = conn.SetReadDeadline(deadline(patience))
	line, err := bufio.NewReaderSize(conn, 1024).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) < 2 {
		return "no answer", conn
	}
	return fields[1], conn
}

// flood is a frame that is sent again and again; i counts from 0.
type flood struct {
	name  string
	frame func(c *h2, i int) error
}

func floods() []flood {
	return []flood{
		{"streams that are reset at once", func(c *h2, i int) error {
			stream := uint32(2*i + 1)
			if err := c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.headers(topicsRPC, ""), EndHeaders: true}); err != nil {
				return err
			}
			return c.frames.WriteRSTStream(stream, http2.ErrCodeCancel)
		}},
		{"pings", func(c *h2, i int) error {
			return c.frames.WritePing(false, [8]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		}},
		{"settings", func(c *h2, i int) error {
			return c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i % 1000)}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(i % 4096)})
		}},
		{"headers that go on", func(c *h2, i int) error {
			if i == 0 {
				return c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.headers(topicsRPC, "")})
			}
			return c.frames.WriteContinuation(1, false, []byte("\x40\x01a\x20bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"))
		}},
		{"priorities", func(c *h2, i int) error {
			return c.frames.WritePriority(uint32(2*i+1), http2.PriorityParam{StreamDep: uint32(2*i + 3), Weight: byte(i)})
		}},
		{"data of nothing", func(c *h2, i int) error {
			if i == 0 {
				return c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.headers(topicsRPC, ""), EndHeaders: true})
			}
			return c.frames.WriteData(1, false, nil)
		}},
		{"windows of one byte", func(c *h2, _ int) error { return c.frames.WriteWindowUpdate(0, 1) }},
		{"frames of an unknown type", func(c *h2, i int) error {
			return c.frames.WriteRawFrame(http2.FrameType(200), 0, uint32(i), []byte("x"))
		}},
	}
}

// attackFlood sends frames that cost the server more than the client.
func attackFlood(ctx context.Context, w *world) error {
	n := w.dose(10_000, 200_000)
	for _, f := range floods() {
		c, err := w.dialH2(ctx, 1<<16)
		if err != nil {
			return err
		}
		sent := 0
		for ; sent < n; sent++ {
			_ = c.conn.SetWriteDeadline(deadline(atOnce))
			c.writing.Lock()
			err := f.frame(c, sent)
			c.writing.Unlock()
			if err != nil {
				break // the server has had enough
			}
			w.tally.add("frame")
		}
		how := "connection cut"
		if sent == n {
			how = "connection lasted"
		}
		w.tally.add(how)
		c.close()
	}
	// It still serves.
	conn, err := w.openGRPC()
	if err != nil {
		return err
	}
	defer conn.Close()
	if code := w.tally.grpc("topics", conn.topics(ctx, "Bearer "+w.issuer.token("after", "learner"))); code != codes.OK {
		w.tally.faultf("after the floods: %s", code)
	}
	return nil
}

// neverRead calls RPCs whose responses are large and small over connections that let the server send nothing of them.
func (w *world) neverRead(ctx context.Context, connections, streams int) ([]*h2, error) {
	var held []*h2
	token := w.issuer.token("never-reads", "author")
	for range connections {
		c, err := w.dialH2(ctx, 0)
		if err != nil {
			return held, err
		}
		held = append(held, c)
		for i := range streams {
			method, req := topicsRPC, proto.Message(&catalogv1.ListTopicsRequest{})
			if i%2 == 1 {
				method, req = catalogv1.CatalogService_ExportCatalog_FullMethodName, &catalogv1.ExportCatalogRequest{}
			}
			if c.call(method, token, req) != nil {
				break
			}
			w.tally.add("call that is never read")
		}
	}
	return held, nil
}
