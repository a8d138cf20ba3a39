package server

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func openingWithRedis(t *testing.T, url string) Opening {
	t.Helper()
	return Opening{
		Config: &Config{RedisURL: url}, Logger: slog.New(slog.DiscardHandler), Now: testenv.Now,
		OnQuiet: func(func(context.Context)) {},
		OnStop: func(stop func(context.Context) error) {
			t.Cleanup(func() {
				if err := stop(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
		},
	}
}

// A Redis that is not there is no reason not to start, and /readyz reports it.
func TestWithoutTheRedisThatThereShouldBe(t *testing.T) {
	t.Parallel()
	k, err := openCache(t.Context(), openingWithRedis(t, "redis://:secret@127.0.0.1:"+strconv.Itoa(testenv.Ports(t, 1)[0])))
	if err != nil {
		t.Fatal(err)
	}
	if got := k.degraded(t.Context()); !slices.Equal(got, []health.Missing{{Dependency: health.Redis, Text: "redis is not reachable; answers come from the database"}}) {
		t.Errorf("%+v", got)
	}
	k, err = openCache(t.Context(), openingWithRedis(t, ""))
	if err != nil || k.notices != nil || k.degraded(t.Context()) != nil {
		t.Errorf("without a url: %+v, %v", k, err)
	}
}

func TestBadRedisURLIsOneLine(t *testing.T) {
	t.Parallel()
	_, err := openCache(t.Context(), openingWithRedis(t, "redis://:secret@host:port"))
	if errs.KindOf(err) != errs.Invalid {
		t.Fatal(err)
	}
	if line := errs.OneLine(err); !strings.Contains(line, "--redis-url") || strings.Contains(line, "secret") {
		t.Error(line)
	}
}
