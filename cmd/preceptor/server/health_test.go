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

// TestHealthPages has them where a flag says so, and else nowhere.
func TestHealthPages(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		addr   string
		served bool
		err    string
	}{
		"asked for": {addr: "127.0.0.1:0", served: true},
		"nowhere":   {},
		"taken":     {addr: taken.Addr().String(), err: "--health-addr"},
	} {
		p := newProcess(Options{Config: &Config{HealthAddr: c.addr}, Logger: slog.New(slog.DiscardHandler), Now: testenv.Now})
		p.report(func(context.Context) health.State {
			return health.State{Ready: true, Degraded: []health.Missing{{Text: "redis"}}}
		})
		err := p.offerHealthPages(t.Context())
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) || (p.at.Health != nil) != c.served {
			t.Errorf("%s: served %v, %v", name, p.at.Health, err)
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
