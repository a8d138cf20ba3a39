package idem_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
)

func TestValidate(t *testing.T) {
	for _, good := range []string{"a", "0190f3c2-7d1e-7000-8000-000000000001", "!~", strings.Repeat("k", 255)} {
		if err := idem.Validate(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", " ", "a b", "a\n", "a\x00", "a\x7f", "é", strings.Repeat("k", 256)} {
		err := idem.Validate(bad)
		if err == nil || errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: %v, want Invalid", bad, err)
		}
	}
}

func TestNew(t *testing.T) {
	a, err := idem.New("learner", "/x/Create", "k", []byte("body"))
	if err != nil || a.IsZero() {
		t.Fatal(a, err)
	}
	same, _ := idem.New("learner", "/x/Create", "k", []byte("body"))
	other, _ := idem.New("learner", "/x/Create", "k", []byte("other"))
	if a != same || a.Hash == other.Hash {
		t.Error("the hash does not tell requests apart")
	}
	none, err := idem.New("learner", "/x/Create", "", []byte("body"))
	if err != nil || !none.IsZero() {
		t.Errorf("no key: %v, %v", none, err)
	}
	if _, err := idem.New("learner", "/x/Create", "a b", nil); errs.KindOf(err) != errs.Invalid || err == nil {
		t.Errorf("bad key: %v", err)
	}
}

func TestGuard(t *testing.T) {
	var g idem.Guard
	key := idem.Key{Caller: "c", Method: "m", Key: "k", Hash: [32]byte{1}}
	leave, err := g.Enter(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, twin := range map[string]idem.Key{
		"same":       key,
		"other body": {Caller: "c", Method: "m", Key: "k", Hash: [32]byte{2}},
	} {
		_, err := g.Enter(twin)
		if errs.KindOf(err) != errs.Aborted || errs.ReasonOf(err) != "IDEMPOTENCY_KEY_IN_FLIGHT" {
			t.Errorf("%s: %v, want Aborted", name, err)
		}
	}
	for name, stranger := range map[string]idem.Key{
		"caller": {Caller: "d", Method: "m", Key: "k"},
		"method": {Caller: "c", Method: "n", Key: "k"},
		"key":    {Caller: "c", Method: "m", Key: "l"},
	} {
		if _, err := g.Enter(stranger); err != nil {
			t.Errorf("other %s: %v", name, err)
		}
	}
	leave()
	again, err := g.Enter(key)
	if err != nil {
		t.Fatalf("after leave: %v", err)
	}
	leave() // A second call must not free the key of whoever holds it now.
	if _, err := g.Enter(key); err == nil {
		t.Error("a stale leave freed the key")
	}
	again()
}

func TestGuardLetsRequestsWithoutKeyPass(t *testing.T) {
	var g idem.Guard
	for range 2 {
		leave, err := g.Enter(idem.Key{})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
}

func TestGuardLetsOneOfManyIn(t *testing.T) {
	var g idem.Guard
	var inside, entered atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				leave, err := g.Enter(idem.Key{Caller: "c", Method: "m", Key: "k"})
				if err != nil {
					continue
				}
				if inside.Add(1) != 1 {
					t.Error("two at a time")
				}
				entered.Add(1)
				inside.Add(-1)
				leave()
			}
		})
	}
	wg.Wait()
	if entered.Load() == 0 {
		t.Error("nobody came in")
	}
}
