package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const (
	keyFile      = "issuer.key"
	localName    = "https://preceptor.local"
	localAud     = "preceptor"
	oidcAudience = "preceptor-attack"
	edDSA        = "EdDSA"
)

// issuer makes tokens with the key of a data folder, by hand, so that it can make wrong ones as well.
type issuer struct {
	key   ed25519.PrivateKey
	keyID string
}

// openIssuer has the program make the folder with its key, and reads that.
func openIssuer(ctx context.Context, t *target, dir string) (*issuer, error) {
	token, err := t.tool(ctx, "token", "--data", dir, "--subject", "first")
	if err != nil {
		return nil, err
	}
	token = token[strings.LastIndexByte(token, '\n')+1:]
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		return nil, err
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	if err := json.Unmarshal(head, &header); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the issuer's key is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the issuer's key is no Ed25519 key")
	}
	return &issuer{private, header.KeyID}, nil
}

// public is the issuer's public key.
func (i *issuer) public() ed25519.PublicKey {
	public, _ := i.key.Public().(ed25519.PublicKey)
	return public
}

// members are a JSON object that forgeries change.
type members map[string]any

// with returns the object with other members; nil removes one.
func (m members) with(pairs ...any) members {
	out := maps.Clone(m)
	for i := 0; i < len(pairs); i += 2 {
		name := fmt.Sprint(pairs[i])
		if out[name] = pairs[i+1]; pairs[i+1] == nil {
			delete(out, name)
		}
	}
	return out
}

func (m members) json() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return "" // then no token of it is valid, which attacks notice
	}
	return strings.TrimSpace(b.String())
}

func (i *issuer) header() members { return members{"alg": edDSA, "kid": i.keyID, "typ": "JWT"} }

// claims are those of a valid token, which was issued a year ago and ends in a hundred years' time: it is valid
// wherever a clock jumps to.
func (i *issuer) claims(subject string, roles ...string) members {
	now := testenv.Now()
	return members{
		"iss": localName, "aud": localAud, "sub": subject, "roles": roles, "name": subject,
		"iat": now.AddDate(-1, 0, 0).Unix(), "nbf": now.AddDate(-1, 0, 0).Unix(), "exp": now.AddDate(100, 0, 0).Unix(),
	}
}

// token is a valid one.
func (i *issuer) token(subject string, roles ...string) string {
	return i.sign(i.header().json(), i.claims(subject, roles...).json())
}

// sign signs any header and any claims.
func (i *issuer) sign(header, claims string) string {
	input := encoded(header) + "." + encoded(claims)
	return input + "." + encoded(string(ed25519.Sign(i.key, []byte(input))))
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// provider is an OpenID Connect provider on loopback, with a key of each kind.
type provider struct {
	url    string
	rsa    *rsa.PrivateKey
	ecdsa  *ecdsa.PrivateKey
	server *http.Server
}

func newProvider() (*provider, error) {
	p := &provider{}
	var err error
	if p.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if p.ecdsa, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.url = "http://" + lis.Addr().String()
	pages := http.NewServeMux()
	pages.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.write(w, members{
			"issuer": p.url, "jwks_uri": p.url + "/keys", "authorization_endpoint": p.url + "/a", "token_endpoint": p.url + "/t",
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		})
	})
	pages.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.write(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: p.rsa.Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"},
			{Key: p.ecdsa.Public(), KeyID: "ecdsa", Algorithm: "ES256", Use: "sig"},
		}})
	})
	p.server = &http.Server{Handler: pages, ReadHeaderTimeout: patience}
	go func() { _ = p.server.Serve(lis) }()
	return p, nil
}

func (p *provider) write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (p *provider) close() {
	if p != nil {
		_ = p.server.Close()
	}
}

// rs256 and es256 sign any header and any claims.
func (p *provider) rs256(header, claims string) string {
	input := encoded(header) + "." + encoded(claims)
	hash := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.rsa, crypto.SHA256, hash[:])
	if err != nil {
		return ""
	}
	return input + "." + encoded(string(signature))
}

func (p *provider) es256(header, claims string) (input string, signature []byte) {
	input = encoded(header) + "." + encoded(claims)
	hash := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p.ecdsa, hash[:])
	if err != nil {
		return "", nil
	}
	return input, append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}
