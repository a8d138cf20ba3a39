package grpcapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// timeSize and idSize are the lengths of the parts of a page token after its mark.
const (
	timeSize = 8
	idSize   = 16
)

// pageMark is what the page tokens of a learner's enrollments begin with, so that one continues no other list.
func pageMark(learnerID string) []byte {
	sum := sha256.Sum256([]byte("enrollments/" + learnerID))
	return sum[:8]
}

// pageToken names the last enrollment of a page.
func pageToken(last progress.EnrollmentPlace, learnerID string) string {
	b := binary.BigEndian.AppendUint64(pageMark(learnerID), uint64(last.EnrollTime.UnixMicro()))
	id, err := uuid.Parse(last.ID)
	if err != nil {
		return "" // no enrollment has such an id
	}
	return base64.RawURLEncoding.EncodeToString(append(b, id[:]...))
}

// readPageToken returns the last enrollment of the page before; zero for no token.
func readPageToken(token, learnerID string) (progress.EnrollmentPlace, error) {
	if token == "" {
		return progress.EnrollmentPlace{}, nil
	}
	mark := pageMark(learnerID)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != len(mark)+timeSize+idSize || !bytes.HasPrefix(raw, mark) {
		bad := errs.InvalidFields([]errs.Violation{{
			Field: "pageToken", Description: "must be the nextPageToken of a page of this learner's enrollments", Reason: errs.ReasonBadPageToken,
		}})
		bad.Reason = errs.ReasonBadPageToken
		return progress.EnrollmentPlace{}, bad
	}
	raw = raw[len(mark):]
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC()
	return progress.EnrollmentPlace{EnrollTime: at, ID: uuid.UUID(raw[timeSize:]).String()}, nil
}
