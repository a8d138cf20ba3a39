package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Noted is a head of a service's chain as it is noted elsewhere: nobody who can write the database can
// change it there. Its text is service:sequence:hash.
type Noted struct {
	Service string
	Head
}

func (n Noted) String() string { return fmt.Sprintf("%s:%d:%s", n.Service, n.Sequence, n.Hash) }

// ParseNoted reads the text of a Noted.
func ParseNoted(text string) (Noted, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] == "" {
		return Noted{}, errors.New("a head is service:sequence:hash, as `preceptor audit verify` prints it")
	}
	sequence, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || sequence < 1 || strconv.FormatInt(sequence, 10) != parts[1] {
		return Noted{}, fmt.Errorf("the sequence of a head is 1 or more, not %q", parts[1])
	}
	if len(parts[2]) != hashDigits || strings.Trim(parts[2], "0123456789abcdef") != "" {
		return Noted{}, fmt.Errorf("the hash of a head is %d hexadecimal digits in lower case", hashDigits)
	}
	return Noted{Service: parts[0], Head: Head{Sequence: sequence, Hash: parts[2]}}, nil
}

// hashDigits is how long a hash is.
const hashDigits = 64

// Compare returns a *BrokenError when the chain has come to where the head was noted, and is another.
func (n Noted) Compare(h Head) error {
	if h.Sequence == n.Sequence && h.Hash != n.Hash {
		return &BrokenError{Sequence: n.Sequence, Why: "its hash is not the one that was noted, so it or one before was changed"}
	}
	return nil
}

// End returns a *BrokenError when the chain ends at h, before the head that was noted.
func (n Noted) End(h Head) error {
	if h.Sequence < n.Sequence {
		return &BrokenError{Sequence: h.Sequence + 1, Why: fmt.Sprintf("it is missing, and the chain went to %d when its head was noted", n.Sequence)}
	}
	return nil
}

// Stored returns a *BrokenError when stored, the head that is kept beside the entries, is not h, where they end.
func (h Head) Stored(stored Head) error {
	switch {
	case h.Sequence > stored.Sequence:
		return &BrokenError{Sequence: stored.Sequence + 1, Why: "the head of the chain comes before it"}
	case h.Sequence < stored.Sequence:
		return h.broken(fmt.Sprintf("it is missing, and the chain goes to %d", stored.Sequence))
	case h.Hash != stored.Hash:
		return &BrokenError{Sequence: h.Sequence, Why: "its hash is not that of the head of the chain, so entries at the end were replaced or cut off"}
	}
	return nil
}
