package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// servers are an etcd and a kube-apiserver that are gone afterwards. Nothing else of a cluster is
// there: no controller, no scheduler, no kubelet.
type servers struct {
	dir     string
	running []*server
	api     *apiServer
}

// startWithin is how long a server may take to be ready, on a machine that is busy.
const startWithin = 2 * time.Minute

// buildServers builds both, into bin/kube: the first time takes minutes.
func buildServers(ctx context.Context, root string, progress io.Writer) (folder string, err error) {
	folder, err = filepath.Abs(filepath.Join(root, "bin", "kube"))
	if err != nil {
		return "", err
	}
	for _, each := range [][2]string{
		{"etcd", "go.etcd.io/etcd/server/v3"},
		{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	} {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
			"-o", filepath.Join(folder, each[0]), each[1])
		build.Dir = filepath.Join(root, "tools", "apiserver")
		build.Env = append(build.Environ(), "CGO_ENABLED=0")
		build.Stdout, build.Stderr = progress, progress
		if err := build.Run(); err != nil {
			return "", fmt.Errorf("building %s: %w", each[0], err)
		}
	}
	return folder, nil
}

// startServers starts both, with nothing in them, and waits until they are ready.
func startServers(ctx context.Context, programs string) (_ *servers, err error) {
	dir, err := os.MkdirTemp("", "kube-apiserver-")
	if err != nil {
		return nil, err
	}
	s := &servers{dir: dir}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	store, peers := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	// Ready or not, the API server waits for it.
	if _, err := s.start(ctx, filepath.Join(programs, "etcd"),
		"--data-dir="+dir+"/etcd", "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers); err != nil {
		return nil, err
	}
	token, err := s.writeKeys()
	if err != nil {
		return nil, err
	}
	// Its admission plugins are a cluster's defaults.
	api, err := s.start(ctx, filepath.Join(programs, "kube-apiserver"),
		"--etcd-servers="+store, "--bind-address=127.0.0.1", "--secure-port="+ports[2], "--cert-dir="+dir,
		"--service-cluster-ip-range=10.0.0.0/16", "--authorization-mode=RBAC", "--token-auth-file="+s.tokens(),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+s.key(), "--service-account-signing-key-file="+s.key())
	if err != nil {
		return nil, err
	}
	s.api, err = s.ready(ctx, api, "https://127.0.0.1:"+ports[2], token)
	return s, err
}

func (s *servers) key() string    { return filepath.Join(s.dir, "accounts.key") }
func (s *servers) tokens() string { return filepath.Join(s.dir, "tokens.csv") }

// writeKeys writes the key of service accounts' tokens, and returns the token of a user who may do
// everything.
func (s *servers) writeKeys() (token string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(s.key(), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return "", err
	}
	token = rand.Text()
	return token, os.WriteFile(s.tokens(), []byte(token+",admin,admin,system:masters\n"), 0o600)
}

// ready waits for the API server, whose certificate is of its own making.
func (s *servers) ready(ctx context.Context, process *server, address, token string) (*apiServer, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	var last error
	for {
		if certificate, err := os.ReadFile(filepath.Join(s.dir, "apiserver.crt")); err == nil {
			api := newAPIServer(address, token, certificate)
			if last = api.ready(ctx); last == nil {
				return api, nil
			}
		}
		select {
		case <-process.ended:
			return nil, fmt.Errorf("kube-apiserver ended: %w\n%s", process.err, process.tail())
		case <-ctx.Done():
			return nil, fmt.Errorf("kube-apiserver is not ready: %w\n%s", errors.Join(last, ctx.Err()), process.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Close stops both, the API server first, and removes what they wrote.
func (s *servers) Close() {
	for _, each := range slices.Backward(s.running) {
		each.cancel()
		<-each.ended
	}
	_ = os.RemoveAll(s.dir)
}

// server is a running process.
type server struct {
	cancel context.CancelFunc
	log    string
	// ended is closed when the process is over, and err is how it ended.
	ended chan struct{}
	err   error
}

// start starts a program that logs into a file, and that ends with the servers or with ctx.
func (s *servers) start(ctx context.Context, program string, args ...string) (*server, error) {
	each := &server{log: filepath.Join(s.dir, filepath.Base(program)+".log"), ended: make(chan struct{})}
	log, err := os.Create(each.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ctx, each.cancel = context.WithCancel(ctx)
	process := exec.CommandContext(ctx, program, args...)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		each.cancel()
		return nil, err
	}
	s.running = append(s.running, each)
	go func() {
		each.err = process.Wait()
		close(each.ended)
	}()
	return each, nil
}

// tail is the end of its log.
func (s *server) tail() string {
	const lines = 20
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// freePorts returns ports that were free a moment ago.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var config net.ListenConfig
	ports := make([]string, 0, n)
	for range n {
		l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are known, so that they differ
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
