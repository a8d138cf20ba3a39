package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/bounds"
)

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

// fromHere reports whether a program on this machine makes a request by the machine's own name, and no proxy
// here passes it on for another: those add a header, or keep the name that was asked for.
func fromHere(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	asked, err := netip.ParseAddr(host)
	from, ok := bounds.ReadAddr(r.RemoteAddr)
	return ok && from.IsLoopback() && (host == "localhost" || err == nil && asked.IsLoopback())
}

// addressOf returns the address that a request comes from, of IPv6 its network. Behind a trusted proxy that
// is the last entry of X-Forwarded-For that is not a trusted proxy itself; what stands before it, anybody
// may have written, and so may anybody who is no proxy have written all of it.
func (p proxies) addressOf(r *http.Request) string {
	addr, ok := bounds.ReadAddr(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr // of a connection in this process
	}
	if len(p) > 0 && p.has(addr) {
		forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		for forwarded != "" && p.has(addr) {
			i := strings.LastIndexByte(forwarded, ',')
			before, ok := bounds.ReadAddr(forwarded[i+1:])
			if !ok {
				break
			}
			addr, forwarded = before, forwarded[:max(i, 0)]
		}
	}
	return bounds.Place(addr)
}
