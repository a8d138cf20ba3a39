package rpc

import (
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// targetOf is where a connection to addr goes: a name, whose addresses are looked up again
// whenever one of them goes away, or a list of addresses with commas between.
func targetOf(addr string) (target string, opts []grpc.DialOption, err error) {
	list := strings.Split(addr, ",")
	state := resolver.State{}
	for _, each := range list {
		each = strings.TrimSpace(each)
		if host, port, err := net.SplitHostPort(each); err != nil || host == "" || port == "" {
			return "", nil, fmt.Errorf("rpc: %q is not host:port", each)
		}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: each}}})
	}
	if len(list) == 1 {
		return "dns:///" + addr, nil, nil
	}
	fixed := manual.NewBuilderWithScheme("addresses")
	fixed.InitialState(state)
	// The list is not a host name: without TLS, requests name the first one.
	return "addresses:///" + state.Endpoints[0].Addresses[0].Addr, []grpc.DialOption{grpc.WithResolvers(fixed)}, nil
}
