package rpc

import (
	"context"
	"hash/fnv"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// affinityPolicy is what service configs call the policy by which Dial spreads calls over the servers of a
// name. Calls without a key go round them. Those with one go to the same server as long as it is ready, by
// rendezvous hashing: each server has a score for each key, and the highest is the key's own. So every client
// chooses the same without asking another, and a server that comes or goes moves its own share of the keys.
const affinityPolicy = "preceptor_affinity"

func init() { //nolint:gochecknoinits // gRPC takes policies at no other time
	balancer.Register(affinityBuilder{})
}

// affinity is the key of one call.
type affinity struct {
	hash   uint64
	routed func(own bool)
	// failed is how many tries have found their server UNAVAILABLE. The next one is for the server after that:
	// one that refuses calls on a connection that stands must not have them all.
	failed atomic.Int32
}

type affinityKey struct{}

// withKey returns the context of a call with a key; "" is none.
func withKey(ctx context.Context, key string, routed func(own bool)) context.Context {
	if key == "" {
		return ctx
	}
	return context.WithValue(ctx, affinityKey{}, &affinity{hash: hashOf(key), routed: routed})
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum64()
}

// score is how well a server suits a key: the finalizer of splitmix64, whose bits all depend on all of both.
func score(server, key uint64) uint64 {
	x := server ^ key
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

type affinityBuilder struct{}

// Name is balancer.Builder's.
func (affinityBuilder) Name() string { return affinityPolicy }

// Build is balancer.Builder's. What connects to the servers is what connects for gRPC's round_robin.
func (affinityBuilder) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	return endpointsharding.NewBalancer(affinityConn{cc}, o, balancer.Get(pickfirst.Name).Build, endpointsharding.Options{})
}

// affinityConn puts our choice in the place of one that goes round the servers.
type affinityConn struct{ balancer.ClientConn }

// UpdateState is balancer.ClientConn's.
func (c affinityConn) UpdateState(s balancer.State) {
	if s.ConnectivityState == connectivity.Ready {
		s.Picker = newAffinityPicker(endpointsharding.ChildStatesFromPicker(s.Picker))
	}
	c.ClientConn.UpdateState(s)
}

// affinityPicker chooses a server for each try of a call.
type affinityPicker struct {
	ready []affinityServer
	away  []uint64 // hashes of the servers that are not ready
	next  atomic.Uint32
}

type affinityServer struct {
	balancer.Picker

	hash uint64
}

func newAffinityPicker(servers []endpointsharding.ChildState) *affinityPicker {
	p := &affinityPicker{}
	for _, s := range servers {
		hash := hashOf(s.Endpoint.Addresses[0].Addr)
		if s.State.ConnectivityState == connectivity.Ready {
			p.ready = append(p.ready, affinityServer{s.State.Picker, hash})
		} else {
			p.away = append(p.away, hash)
		}
	}
	return p
}

// Pick is balancer.Picker's.
func (p *affinityPicker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	call, _ := info.Ctx.Value(affinityKey{}).(*affinity)
	if call == nil {
		return p.ready[int(p.next.Add(1)%uint32(len(p.ready)))].Pick(info) //nolint:gosec // there are few servers
	}
	server, own := p.serverOf(call.hash, int(call.failed.Load()))
	result, err := server.Pick(info)
	if err != nil {
		return result, err
	}
	if call.routed != nil {
		call.routed(own)
	}
	done := result.Done
	result.Done = func(d balancer.DoneInfo) {
		if status.Code(d.Err) == codes.Unavailable {
			call.failed.Add(1)
		}
		if done != nil {
			done(d)
		}
	}
	return result, nil
}

// serverOf returns the server for the key's next try, after so many that failed, and whether it is the key's
// own, the best of all.
func (p *affinityPicker) serverOf(key uint64, failed int) (server affinityServer, own bool) {
	if failed > 0 {
		ranked := slices.SortedFunc(slices.Values(p.ready), func(a, b affinityServer) int {
			if score(a.hash, key) > score(b.hash, key) {
				return -1
			}
			return 1
		})
		return ranked[failed%len(ranked)], failed%len(ranked) == 0 && p.bestIs(ranked[0].hash, key)
	}
	server = p.ready[0]
	for _, s := range p.ready[1:] {
		if score(s.hash, key) > score(server.hash, key) {
			server = s
		}
	}
	return server, p.bestIs(server.hash, key)
}

// bestIs reports whether the best of those that are ready is better than all others.
func (p *affinityPicker) bestIs(ready, key uint64) bool {
	return !slices.ContainsFunc(p.away, func(other uint64) bool { return score(other, key) > score(ready, key) })
}
