package bounds

import (
	"net"
	"net/netip"
	"strings"
)

// ipv6Network is how many bits of an IPv6 address count: one customer of a provider has all the addresses
// that begin alike.
const ipv6Network = 64

// ReadAddr reads an address with or without a port.
func ReadAddr(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

// Place returns what counts as one place that requests come from: an address, of IPv6 its network.
func Place(addr netip.Addr) string {
	if addr.Is6() {
		network, _ := addr.Prefix(ipv6Network) // fails for more bits than there are
		return network.String()
	}
	return addr.String()
}
