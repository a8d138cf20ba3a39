package rpc

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// toServer picks a server that is there, and notes which.
type toServer struct {
	addr   string
	picked *string
}

func (s toServer) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	*s.picked = s.addr
	return balancer.PickResult{}, nil
}

// pickerOf makes a picker of servers, of which some are not ready, and what tells where a pick went.
func pickerOf(n int, away ...int) (*affinityPicker, *string) {
	picked := new(string)
	states := make([]endpointsharding.ChildState, n)
	for i := range states {
		addr := fmt.Sprintf("10.0.0.%d:7003", i)
		states[i] = endpointsharding.ChildState{
			Endpoint: resolver.Endpoint{Addresses: []resolver.Address{{Addr: addr}}},
			State:    balancer.State{ConnectivityState: connectivity.Ready, Picker: toServer{addr, picked}},
		}
	}
	for _, i := range away {
		states[i].State.ConnectivityState = connectivity.TransientFailure
	}
	return newAffinityPicker(states), picked
}

// pick makes a try of a call, and returns where it went, whether that was the key's own server, and its end.
func pick(t *testing.T, p *affinityPicker, picked *string, ctx context.Context) (addr string, result balancer.PickResult) { //nolint:revive // the test comes first
	t.Helper()
	result, err := p.Pick(balancer.PickInfo{Ctx: ctx})
	if err != nil {
		t.Fatal(err)
	}
	return *picked, result
}

func key(i int) string { return fmt.Sprintf("https://id.example.org|%d", i) }

// TestKeysMoveAsLittleAsTheyMust: what goes away gives its keys to all others, and nothing else moves; and every
// server has its part.
func TestKeysMoveAsLittleAsTheyMust(t *testing.T) {
	t.Parallel()
	const keys, servers = 8000, 8
	all, to := pickerOf(servers)
	fewer, toFewer := pickerOf(servers, 3)
	had, got := map[string]int{}, map[string]int{}
	for i := range keys {
		var own bool
		ctx := withKey(t.Context(), key(i), func(mine bool) { own = mine })
		before, _ := pick(t, all, to, ctx)
		if again, _ := pick(t, all, to, withKey(t.Context(), key(i), nil)); again != before || !own {
			t.Fatalf("key %d went to %s and then to %s; own %t", i, before, again, own)
		}
		after, _ := pick(t, fewer, toFewer, ctx)
		moved := before == "10.0.0.3:7003"
		if (after != before) != moved || own == moved {
			t.Fatalf("key %d went to %s, and to %s without server 3; own %t", i, before, after, own)
		}
		if had[before]++; moved {
			got[after]++
		}
	}
	for _, counts := range []struct {
		at         map[string]int
		servers, n int
	}{{had, servers, keys}, {got, servers - 1, had["10.0.0.3:7003"]}} {
		for addr, n := range counts.at {
			if fair := counts.n / counts.servers; n < fair*3/4 || n > fair*5/4 {
				t.Errorf("%s has %d keys, where %d were its part", addr, n, fair)
			}
		}
		if len(counts.at) != counts.servers {
			t.Errorf("of %d servers, these have keys: %v", counts.servers, counts.at)
		}
	}
}

// TestTriesGoRoundTheServers: a server that refuses calls on a connection that stands has the first try alone,
// and other faults send no call elsewhere.
func TestTriesGoRoundTheServers(t *testing.T) {
	t.Parallel()
	p, to := pickerOf(3)
	ctx := withKey(t.Context(), "ada", nil)
	seen := map[string]bool{}
	var tries []string
	for range 4 {
		addr, result := pick(t, p, to, ctx)
		result.Done(balancer.DoneInfo{Err: status.Error(codes.Unavailable, "busy")})
		seen[addr] = true
		tries = append(tries, addr)
	}
	if len(seen) != 3 || tries[3] != tries[0] {
		t.Errorf("tries went to %v", tries)
	}
	ctx = withKey(t.Context(), "ada", nil)
	for _, err := range []error{nil, status.Error(codes.Aborted, "again"), context.Canceled} {
		addr, result := pick(t, p, to, ctx)
		if result.Done(balancer.DoneInfo{Err: err}); addr != tries[0] {
			t.Errorf("after an end with %v a call went to %s, not to %s", err, addr, tries[0])
		}
	}
}

// TestWithoutKeyCallsGoRound: calls about nothing in particular are spread evenly.
func TestWithoutKeyCallsGoRound(t *testing.T) {
	t.Parallel()
	p, to := pickerOf(4, 2)
	counts := map[string]int{}
	for range 300 {
		addr, _ := pick(t, p, to, withKey(t.Context(), "", nil))
		counts[addr]++
	}
	for addr, n := range counts {
		if n != 100 {
			t.Errorf("%s got %d calls of 300", addr, n)
		}
	}
	if len(counts) != 3 {
		t.Errorf("%v", counts)
	}
}
