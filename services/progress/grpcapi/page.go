package grpcapi

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// enrollmentsToken returns the page tokens of a learner's enrollments.
func enrollmentsToken(learnerID string) (page.Token, error) {
	return page.NewToken("enrollments", learnerID)
}

// pageToken names the last enrollment of a page.
func pageToken(token page.Token, last progress.EnrollmentPlace) string {
	return token.After(strconv.FormatInt(last.EnrollTime.UnixMicro(), 10), last.ID)
}

// readPageToken returns the last enrollment of the page before; zero for no token.
func readPageToken(token page.Token, text string) (progress.EnrollmentPlace, error) {
	keys, err := token.Read(text, 2)
	if err != nil || keys == nil {
		return progress.EnrollmentPlace{}, err
	}
	at, err := strconv.ParseInt(keys[0], 10, 64)
	if err != nil || uuid.Validate(keys[1]) != nil {
		return progress.EnrollmentPlace{}, page.Bad()
	}
	return progress.EnrollmentPlace{EnrollTime: time.UnixMicro(at).UTC(), ID: keys[1]}, nil
}
