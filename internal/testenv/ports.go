package testenv

import (
	"math/rand/v2"
	"net"
)

// Ports of servers are below those that the system gives to outgoing connections, and to
// listeners that ask for any.
const firstPort, ports = 20000, 12000

// Ports returns n different loopback ports on which nothing listens. They belong to the test until
// it ends: no other test is given one, in this process or in another, and no outgoing connection.
func Ports(t T, n int) []int {
	t.Helper()
	var own []int
	for tries := 0; len(own) < n; tries++ {
		port := firstPort + rand.IntN(ports) //nolint:gosec // any that is free
		if claim(t, port) {
			own = append(own, port)
		} else if tries > ports {
			t.Fatal("no port is free")
		}
	}
	return own
}

// claim takes a port for the test, unless it is used. The claim is the UDP socket of the same
// number, which nothing else uses and other processes see.
func claim(t T, port int) bool {
	t.Helper()
	ip := net.IPv4(127, 0, 0, 1)
	mark, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip, Port: port})
	if err != nil {
		return false
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: ip, Port: port})
	if err != nil {
		_ = mark.Close()
		return false
	}
	_ = l.Close()
	t.Cleanup(func() { _ = mark.Close() })
	return true
}
