package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// What tokens of the local issuer say in iss and aud.
const (
	// LocalIssuerName is a name, not an address: nothing is fetched from it.
	LocalIssuerName = "https://preceptor.local"
	// LocalAudience is the audience of the local issuer's tokens.
	LocalAudience = "preceptor"
)

// LocalKeyFile is the file, in the data folder, with the private key of the
// issuer https://preceptor.local. A process that can read it can act as any user.
const LocalKeyFile = "issuer.key"

// LocalIssuer mints and vouches for tokens with a key of its own, so that a
// first run needs no identity provider.
type LocalIssuer struct {
	key    jose.JSONWebKey // public
	signer jose.Signer
	now    func() time.Time
	isNew  bool
}

// IsNew reports whether the key was made when the issuer was opened, so that no server knows it yet.
func (l *LocalIssuer) IsNew() bool { return l.isNew }

// OpenLocalIssuer reads the issuer's key from dir, and makes one when there is
// none. Every process on the same folder gets the same key.
func OpenLocalIssuer(dir string, now func() time.Time) (*LocalIssuer, error) {
	path := filepath.Join(dir, LocalKeyFile)
	isNew := false
	text, err := SecretFile(path, func() ([]byte, error) {
		isNew = true
		return newIssuerKey()
	})
	if err != nil {
		return nil, fmt.Errorf("local token issuer: %w", err)
	}
	private, err := parseIssuerKey(text)
	if err != nil {
		return nil, fmt.Errorf("local token issuer: %w", UnusableSecret(path, err.Error()))
	}
	issuer, err := newLocalIssuer(private, now)
	if err != nil {
		return nil, err
	}
	issuer.isNew = isNew
	return issuer, nil
}

// NewLocalIssuer makes an issuer with a new key that is stored nowhere.
func NewLocalIssuer(now func() time.Time) (*LocalIssuer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("local token issuer: %w", err)
	}
	return newLocalIssuer(private, now)
}

func newLocalIssuer(private ed25519.PrivateKey, now func() time.Time) (*LocalIssuer, error) {
	public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.EdDSA), Use: "sig"}
	thumb, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("local token issuer: %w", err)
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("local token issuer: %w", err)
	}
	return &LocalIssuer{key: public, signer: signer, now: now}, nil
}

func newIssuerKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseIssuerKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("holds no private key") // the parser's words could quote the key
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("holds no Ed25519 key")
	}
	return private, nil
}

// Mint makes a token for subject. Invalid when the subject is empty, a role is
// unknown or ttl is under a second. Without roles the bearer is a learner.
func (l *LocalIssuer) Mint(subject string, roles []Role, name string, ttl time.Duration) (string, error) {
	for _, role := range roles {
		if _, err := ParseRole(string(role)); err != nil {
			return "", err
		}
	}
	if len(roles) == 0 {
		roles = []Role{RoleLearner}
	}
	return l.mint(subject, localClaims{Roles: roles, Name: name}, ttl)
}

// MintCommand makes a token for a command of the program, which is no person: no learner is made
// of it. Invalid as Mint.
func (l *LocalIssuer) MintCommand(subject string, role Role, ttl time.Duration) (string, error) {
	return l.mint(subject, localClaims{Roles: []Role{role}, Client: commandClient}, ttl)
}

// commandClient is the client claim of a command's token.
const commandClient = "command"

// localClaims are the claims of a local token beside the registered ones.
type localClaims struct {
	Roles  []Role `json:"roles"`
	Name   string `json:"name,omitempty"`
	Client string `json:"client,omitempty"`
}

func (l *LocalIssuer) mint(subject string, ours localClaims, ttl time.Duration) (string, error) {
	if !isSubject(subject) {
		return "", errs.New(errs.Invalid, errs.ReasonBadSubject, "a subject is 1 to %d bytes of text", maxSubject)
	}
	if ttl < time.Second {
		return "", errs.New(errs.Invalid, errs.ReasonBadTTL, "a token is valid for a second at least")
	}
	now := l.now()
	standard := jwt.Claims{
		Issuer: LocalIssuerName, Subject: subject, Audience: jwt.Audience{LocalAudience}, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(ttl)),
	}
	token, err := jwt.Signed(l.signer).Claims(standard).Claims(ours).Serialize()
	if err != nil {
		return "", fmt.Errorf("local token issuer: %w", err)
	}
	return token, nil
}

// keys is the issuer's one key, unless the token names another.
func (l *LocalIssuer) keys(_ context.Context, keyID string) (trusted, error) {
	if keyID != "" && keyID != l.key.KeyID {
		return trusted{}, nil
	}
	return trusted{keys: []jose.JSONWebKey{l.key}}, nil
}
