package main

import (
	"context"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// What the attack's program is started with.
const ratePerSecond, rateBurst = 5, 10

// attackRate sends tokens that nobody has seen before, each once, from one address, over REST and gRPC. They pass
// no more often than the limit lets one caller pass; honest clients elsewhere do not notice.
func attackRate(ctx context.Context, w *world) error {
	conn, err := w.openGRPC()
	if err != nil {
		return err
	}
	defer conn.Close()
	began := testenv.Now()
	passed := 0
	for i := range w.dose(300, 3000) {
		token := fmt.Sprintf("junk-%d.%d.%d", i, w.dice.Uint64(), w.dice.Uint64())
		if i%2 == 1 {
			token = w.issuer.sign(w.issuer.header().json(), w.issuer.claims("junk").with("iss", fmt.Sprintf("https://evil-%d.example", i)).json())
		}
		if i%4 >= 2 {
			switch code := w.tally.grpc("a junk token", conn.topics(ctx, "Bearer "+token)); code {
			case codes.Unauthenticated:
				passed++
			case codes.ResourceExhausted:
			default:
				w.tally.faultf("a junk token: %s", code)
			}
			continue
		}
		a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/topics", token: token})
		switch {
		case a == nil:
		case a.status == http.StatusUnauthorized:
			passed++
		case a.status != http.StatusTooManyRequests:
			w.tally.faultf("a junk token: %d", a.status)
		case a.header.Get("Retry-After") == "":
			w.tally.faultf("429 without Retry-After")
		}
	}
	took := testenv.Since(began)
	if most := rateBurst + int(ratePerSecond*took.Seconds()) + 10; passed > most {
		w.tally.faultf("%d junk tokens passed in %.1f s, and not %d", passed, took.Seconds(), most)
	}
	return nil
}
