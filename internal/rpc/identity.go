package rpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

// certificatePrefix begins the DNS name in a certificate that says which
// service of ours holds it: "preceptor-progress".
const certificatePrefix = "preceptor-"

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 24 * time.Hour
	// leafRenew is how long before its end a certificate is replaced.
	leafRenew = leafLife / 2
	// clockSkew backdates certificates for a peer whose clock is behind.
	clockSkew = 5 * time.Minute
)

// Identity is how one service proves to the others who it is.
type Identity interface {
	// ServerTLS is for a listener. Clients without a certificate are let in, as
	// callers who are nobody's service; one with a bad certificate is not.
	ServerTLS() *tls.Config
	// ClientTLS is for a connection to the named service, and to no other.
	ClientTLS(service string) *tls.Config
}

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
	info, ok := p.AuthInfo.(credentials.TLSInfo)
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

// keyPair answers the certificate to show now, and the roots that others are
// verified by.
type keyPair func() (*tls.Certificate, *x509.CertPool, error)

type identity struct {
	pair keyPair
	now  func() time.Time
}

func (i identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
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
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: certificatePrefix + service, Time: i.now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, _, err := i.pair()
			return certificate, err
		},
	}
	if _, roots, err := i.pair(); err == nil {
		config.RootCAs = roots
	} else {
		config.RootCAs = x509.NewCertPool() // trusts nobody, where nil would trust the system's
	}
	return config
}

// LocalPKI is the identity of a service among those that share a folder on one
// machine. The first to come makes a certificate authority in dir/pki, readable
// by its owner only; each issues itself short certificates from it, in memory.
// Who can read that folder can be any of the services.
func LocalPKI(dir, service string, now func() time.Time) (Identity, error) {
	path := filepath.Join(dir, "pki", "ca.pem")
	text, err := auth.SecretFile(path, func() ([]byte, error) { return newAuthority(now()) })
	if err != nil {
		return nil, fmt.Errorf("local certificates: %w", err)
	}
	ca, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("local certificates: %s holds no certificate with its key", path)
	}
	if now().After(ca.Leaf.NotAfter) {
		return nil, fmt.Errorf("local certificates: %s expired on %s; remove it to have a new one made", path, ca.Leaf.NotAfter.Format(time.DateOnly))
	}
	issuer := &localIssuer{ca: ca, service: service, now: now, roots: x509.NewCertPool()}
	issuer.roots.AddCert(ca.Leaf)
	return identity{issuer.pair, now}, nil
}

// newAuthority makes the certificate and the key of an authority, in one file so
// that the two always belong together.
func newAuthority(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate("Preceptor local authority", now, caLife)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

func newTemplate(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(life),
	}, nil
}

// localIssuer issues its own service's certificates.
type localIssuer struct {
	ca      tls.Certificate
	service string
	now     func() time.Time
	roots   *x509.CertPool

	mu      sync.Mutex
	current *tls.Certificate
}

func (l *localIssuer) pair() (*tls.Certificate, *x509.CertPool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.current == nil || l.current.Leaf.NotAfter.Sub(now) < leafRenew {
		fresh, err := l.issue(now)
		if err != nil {
			return nil, nil, fmt.Errorf("local certificates: %w", err)
		}
		l.current = fresh
	}
	return l.current, l.roots, nil
}

func (l *localIssuer) issue(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name := certificatePrefix + l.service
	template, err := newTemplate(name, now, leafLife)
	if err != nil {
		return nil, err
	}
	template.DNSNames = []string{name, "localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, l.ca.Leaf, &key.PublicKey, l.ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// FileIdentity is the identity in mounted files, as a certificate manager writes
// them: the service's certificate with a DNS name "preceptor-<service>", its key,
// and the authority that all services trust. A changed certificate is used from
// the next handshake on; a changed authority too, but by clients after a restart.
func FileIdentity(certFile, keyFile, caFile string, now func() time.Time) (Identity, error) {
	files := &fileIdentity{paths: [3]string{certFile, keyFile, caFile}}
	if _, _, err := files.pair(); err != nil {
		return nil, err
	}
	return identity{files.pair, now}, nil
}

type fileIdentity struct {
	paths [3]string // certificate, key, authority

	mu      sync.Mutex
	read    [3]time.Time // modification times of what is held
	current *tls.Certificate
	roots   *x509.CertPool
}

// pair reads the files again when one of them changed. While they cannot be
// read, as in the middle of a rotation, what is held stays in use.
func (f *fileIdentity) pair() (*tls.Certificate, *x509.CertPool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var times [3]time.Time
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil && f.current == nil {
			return nil, nil, fmt.Errorf("certificates: %w", err)
		} else if err != nil {
			return f.current, f.roots, nil
		}
		times[i] = info.ModTime()
	}
	if f.current != nil && times == f.read {
		return f.current, f.roots, nil
	}
	certificate, roots, err := f.load()
	if err != nil && f.current == nil {
		return nil, nil, fmt.Errorf("certificates: %w", err)
	}
	if err == nil {
		f.current, f.roots, f.read = certificate, roots, times
	}
	return f.current, f.roots, nil
}

func (f *fileIdentity) load() (*tls.Certificate, *x509.CertPool, error) {
	certificate, err := tls.LoadX509KeyPair(f.paths[0], f.paths[1])
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(f.paths[2])
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, nil, errors.New(f.paths[2] + " holds no certificate")
	}
	return &certificate, roots, nil
}
