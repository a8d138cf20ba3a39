package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestHealthPages has them where a flag says so, where nobody asked for them if that is free, and else not.
func TestHealthPages(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		addr      string
		byDefault bool
		served    bool
		err, log  string
	}{
		"asked for":         {addr: "127.0.0.1:0", served: true},
		"by default":        {addr: "127.0.0.1:0", byDefault: true, served: true},
		"nowhere":           {},
		"asked for, taken":  {addr: taken.Addr().String(), err: "--health-addr"},
		"by default, taken": {addr: taken.Addr().String(), byDefault: true, log: "level=INFO"},
	} {
		log := &logBook{}
		p := newProcess(Options{
			Config: &Config{HealthAddr: c.addr, HealthByDefault: c.byDefault}, Logger: slog.New(slog.NewTextHandler(log, nil)), Now: testenv.Now,
		})
		p.report(func(context.Context) health.State {
			return health.State{Ready: true, Degraded: []health.Missing{{Text: "redis"}}}
		})
		err := p.offerHealthPages(t.Context())
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) || (p.at.Health != nil) != c.served {
			t.Errorf("%s: served %v, %v", name, p.at.Health, err)
		}
		if lines := log.lines("--health-addr"); len(lines) > 1 || (len(lines) == 1) != (c.log != "") || !strings.Contains(strings.Join(lines, ""), c.log) {
			t.Errorf("%s: the log has %q", name, lines)
		}
		if c.served {
			resp, err := http.Get("http://" + p.at.Health.String() + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			if page, err := io.ReadAll(resp.Body); err != nil || string(page) != `{"status":"degraded","degraded":["redis"]}` {
				t.Errorf("%s: %s %v", name, page, err)
			}
			resp.Body.Close()
		}
		if err := p.stop(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
