package server

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func houseWithRedis(t *testing.T, url string) *house {
	t.Helper()
	h := &house{cfg: &Config{RedisURL: url}, log: slog.New(slog.DiscardHandler), now: testenv.Now}
	t.Cleanup(func() {
		if err := h.stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return h
}

// A Redis that is not there is no reason not to start, and /readyz tells.
func TestWithoutTheRedisThatThereShouldBe(t *testing.T) {
	t.Parallel()
	h := houseWithRedis(t, "redis://:secret@127.0.0.1:"+strconv.Itoa(testenv.Ports(t, 1)[0]))
	k, err := h.openCache(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := k.degraded(t.Context()); !slices.Equal(got, []string{"redis is not reachable; answers come from the database"}) {
		t.Errorf("%q", got)
	}
	k, err = houseWithRedis(t, "").openCache(t.Context())
	if err != nil || k.nudges != nil || k.degraded(t.Context()) != nil {
		t.Errorf("without a url: %+v, %v", k, err)
	}
}

func TestBadRedisURLIsOneLine(t *testing.T) {
	t.Parallel()
	_, err := houseWithRedis(t, "redis://:secret@host:port").openCache(t.Context())
	if errs.KindOf(err) != errs.Invalid {
		t.Fatal(err)
	}
	if line := errs.OneLine(err); !strings.Contains(line, "--redis-url") || strings.Contains(line, "secret") {
		t.Error(line)
	}
}
