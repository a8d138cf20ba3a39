package engine

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// An answer's name says all that its validity depends on: a hash of its key, which names learner, route, timeline,
// learner version and catalog revision; until when it holds by the clock; and, in a validator, from when. So
// whether the answer of a name still holds needs the learner's head and nothing else: neither the answer nor a
// cache. An ETag has no beginning, so that it is the same whenever and wherever the answer was computed.

// validity is when an answer holds by the clock, in microseconds: from the one on and before the other, which is 0
// for ever. It does not hold earlier, since a replica whose clock is ahead must not show the others their future.
type validity struct{ from, until int64 }

// at reports whether an answer holds at a time.
func (v validity) at(t time.Time) bool {
	now := t.UnixMicro()
	return v.from <= now && (v.until == 0 || now < v.until)
}

// timesSize is the length of what a cached answer begins with: its validity.
const timesSize = 16

// append appends the validity, as a cached answer begins with it.
func (v validity) append(b []byte) []byte {
	//nolint:gosec // microseconds since 1970
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(v.from)), uint64(v.until))
}

// readValidity reads what append has appended; b is at least that long.
func readValidity(b []byte) validity {
	return validity{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))} //nolint:gosec // as above
}

// answer returns the answer under a key.
func (v validity) answer(key string, body []byte) Answer {
	name := hashOf(key) + "." + strconv.FormatInt(v.until, 36)
	return Answer{Body: body, ETag: `"` + name + `"`, Validator: name + "." + strconv.FormatInt(v.from, 36)}
}

// hashOf is the part of a name that stands for the key.
func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// holding returns the first of the names whose answer is the one under the key and holds now; "" for none.
func (s *Service) holding(key string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	hash, now := hashOf(key), s.now()
	for _, name := range names {
		times, ok := strings.CutPrefix(name, hash+".")
		if !ok {
			continue
		}
		var v validity
		until, from, bounded := strings.Cut(times, ".")
		var err error
		if v.until, err = strconv.ParseInt(until, 36, 64); err != nil {
			continue
		}
		if bounded {
			if v.from, err = strconv.ParseInt(from, 36, 64); err != nil {
				continue
			}
		}
		if v.at(now) {
			return name
		}
	}
	return ""
}
