package logs

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

// The ways of naming a caller.
const (
	// ByID is the learner's id where the service knows it, and else the hash.
	ByID = "id"
	// ByHash is the hash always.
	ByHash = "hash"
	// BySubject is "issuer|subject", which is an e-mail address with some issuers.
	BySubject = "subject"
)

// KeyFile is the file in the data folder with the key of the hashes, where no setting gives one.
const KeyFile = "log.key"

// minKey is how many bytes a key has at least. Subjects can be guessed, so the key must not be.
const minKey = 32

// Callers names callers in log lines. A nil Callers names nobody.
type Callers struct {
	how string
	key []byte
}

// NewCallers names callers in one of the ways. The text of the key hashes them; processes with the same one
// give the same caller the same hash. White space around it does not count.
func NewCallers(how, key string) (*Callers, error) {
	if !slices.Contains([]string{ByID, ByHash, BySubject}, how) {
		return nil, fmt.Errorf("unknown way of naming callers %q (want %s, %s or %s)", how, ByID, ByHash, BySubject)
	}
	key = strings.TrimSpace(key)
	if len(key) < minKey {
		return nil, fmt.Errorf("a key has at least %d characters, as `openssl rand -hex 32` prints them", minKey)
	}
	return &Callers{how: how, key: []byte(key)}, nil
}

// Name returns the name of a caller; "" for nobody.
func (c *Callers) Name(p auth.Principal) string {
	switch {
	case c == nil || p.Subject == "":
		return ""
	case c.how == BySubject:
		return p.ActorID()
	case c.how == ByID && p.LearnerID != "":
		return p.LearnerID
	}
	return c.Hash(p.Issuer, p.Subject)
}

// Hash returns the name of whom a service does not know as a learner: "h:" and 16 hexadecimal digits.
func (c *Callers) Hash(issuer, subject string) string {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(issuer + "\x00" + subject))
	return "h:" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// NewKey returns a key that nobody can guess.
func NewKey() string {
	return rand.Text() + rand.Text()
}

// OpenKey reads the key in a data folder, and makes one when there is none. Every process on the folder
// gets the same one.
func OpenKey(dir string) (string, error) {
	path := filepath.Join(dir, KeyFile)
	text, err := auth.SecretFile(path, func() ([]byte, error) { return []byte(NewKey() + "\n"), nil })
	if err != nil {
		return "", fmt.Errorf("the key of the log: %w", err)
	}
	if len(strings.TrimSpace(string(text))) < minKey {
		return "", fmt.Errorf("the key of the log: %s is damaged: put a copy of it back, or remove it to have a new one made, by which callers get other names", path)
	}
	return string(text), nil
}
