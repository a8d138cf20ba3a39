package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// certificatePrefix begins the DNS name in a certificate that names which
// service of ours holds it: "preceptor-progress".
const certificatePrefix = "preceptor-"

// Identity is how one service proves to the others which it is.
type Identity interface {
	// ServerTLS is for a listener. Clients without a certificate are let in, as
	// callers that are no service; one with a bad certificate is not.
	ServerTLS() *tls.Config
	// ClientTLS is for a connection to the named service, and to no other.
	ClientTLS(service string) *tls.Config
	// Expires is when the certificate that is shown now ends.
	Expires() time.Time
	// Roots are the authorities that others are verified by now.
	Roots() *x509.CertPool
	// AuthorityExpires is when the authority ends that signed it: others refuse it from then on.
	AuthorityExpires() time.Time
	// Source is where the certificate comes from.
	Source() Source
	// Unused is why files that have changed are not used; nil while they are, or there are none.
	Unused() error
}

// Source is where a service's certificate comes from.
type Source string

// The sources.
const (
	// FromFiles is a certificate manager, which renews its files days before their end.
	FromFiles Source = "file"
	// FromLocalAuthority is the authority in the data folder, whose certificates live for a day.
	FromLocalAuthority Source = "local"
)

// peerService is the service of ours that makes the call being served: known by
// its verified certificate, or by the in-process connection; "" for others.
func peerService(ctx context.Context) string {
	if name := inprocCaller(ctx); name != "" {
		return name
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return connectedService(p.AuthInfo)
}

// connectedService is the service of ours at the other end of a connection, "" for others.
func connectedService(from credentials.AuthInfo) string {
	info, ok := from.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return ""
	}
	return certifiedService(info.State.VerifiedChains[0][0])
}

// certifiedService is the one service that the certificate names, "" when there
// is none or more than one.
func certifiedService(certificate *x509.Certificate) string {
	found := ""
	for _, name := range certificate.DNSNames {
		service, ok := strings.CutPrefix(name, certificatePrefix)
		if !ok || service == "" || strings.Contains(service, ".") {
			continue // names that only say where the service is reached
		}
		if found != "" && found != service {
			return ""
		}
		found = service
	}
	return found
}

// keyPair returns the certificate to show now, and the roots that others are
// verified by.
type keyPair func() (*tls.Certificate, *x509.CertPool, error)

type identity struct {
	source Source
	pair   keyPair
	unused func() error
	now    func() time.Time
}

func (i identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Time: i.now,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			certificate, roots, err := i.pair()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Time: i.now,
				Certificates: []tls.Certificate{*certificate},
				ClientCAs:    roots, ClientAuth: tls.VerifyClientCertIfGiven,
			}, nil
		},
	}
}

func (i identity) ClientTLS(service string) *tls.Config {
	name := certificatePrefix + service
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: name, Time: i.now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, _, err := i.pair()
			return certificate, err
		},
		// crypto/tls would verify by the authority of the start. VerifyConnection does by the
		// present one, on every handshake.
		InsecureSkipVerify: true, //nolint:gosec // see VerifyConnection
		VerifyConnection:   func(state tls.ConnectionState) error { return i.verify(state, name) },
	}
}

// verify proves that the server shows a certificate of ours for that name.
func (i identity) verify(state tls.ConnectionState, name string) error {
	_, roots, err := i.pair()
	if err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	return verifyChain(state.PeerCertificates, roots, name, i.now())
}

// verifyChain proves that a certificate, with those between it and its authority, is one of ours for
// that name.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, name string, now time.Time) error {
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between, CurrentTime: now})
	return err
}

// Expires is when the certificate that is shown now ends; zero when there is none.
func (i identity) Expires() time.Time {
	certificate, _, err := i.pair()
	if err != nil || certificate.Leaf == nil {
		return time.Time{}
	}
	return certificate.Leaf.NotAfter
}

// Roots are the authorities that are trusted now; none where nothing could be read.
func (i identity) Roots() *x509.CertPool {
	if _, roots, err := i.pair(); err == nil {
		return roots
	}
	return x509.NewCertPool()
}

// AuthorityExpires is when the authority ends that signed what is shown now: the one that ends last, where
// several do. Zero when there is none.
func (i identity) AuthorityExpires() time.Time {
	certificate, roots, err := i.pair()
	if err != nil {
		return time.Time{}
	}
	between := x509.NewCertPool()
	for _, der := range certificate.Certificate[1:] {
		if each, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(each)
		}
	}
	// As of its first moment, when the authority was valid too, whatever is the matter now.
	chains, err := certificate.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: certificate.Leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return time.Time{}
	}
	var last time.Time
	for _, chain := range chains {
		end := chain[len(chain)-1].NotAfter
		for _, each := range chain[1:] {
			if each.NotAfter.Before(end) {
				end = each.NotAfter
			}
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}

// Source is where the certificate comes from.
func (i identity) Source() Source { return i.source }

// Unused is why files that have changed are not used.
func (i identity) Unused() error { return i.unused() }
