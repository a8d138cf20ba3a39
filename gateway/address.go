package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ipv6Network is how many bits of an IPv6 address count: one customer of a provider has all the addresses
// that begin alike.
const ipv6Network = 64

// proxies are the networks of the proxies whose X-Forwarded-For is believed.
type proxies []netip.Prefix

// ParseProxy reads a network as 10.0.0.0/8, or one address as a network of its own.
func ParseProxy(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if network, err := netip.ParsePrefix(text); err == nil {
		if network.Addr().Is4In6() {
			return netip.Prefix{}, fmt.Errorf("%q is not a network (want it as one of IPv4)", text)
		}
		return network.Masked(), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not a network (want one such as 10.0.0.0/8, or an address)", text)
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

func (p proxies) has(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// addressOf returns the address that a request comes from, of IPv6 its network. Behind a trusted proxy that
// is the last entry of X-Forwarded-For that is not a trusted proxy itself; what stands before it, anybody
// may have written, and so may anybody who is no proxy have written all of it.
func (p proxies) addressOf(r *http.Request) string {
	addr, ok := readAddr(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr // of a connection in this process
	}
	if len(p) > 0 && p.has(addr) {
		forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		for forwarded != "" && p.has(addr) {
			i := strings.LastIndexByte(forwarded, ',')
			before, ok := readAddr(forwarded[i+1:])
			if !ok {
				break
			}
			addr, forwarded = before, forwarded[:max(i, 0)]
		}
	}
	if addr.Is6() {
		network, _ := addr.Prefix(ipv6Network) // fails for more bits than there are
		return network.String()
	}
	return addr.String()
}

// readAddr reads an address with or without a port.
func readAddr(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}
