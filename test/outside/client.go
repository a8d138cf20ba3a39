package outside

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// Client calls progress in the name of a learner.
type Client struct {
	progress progressv1.ProgressServiceClient
	token    string
}

// NewClient returns a client that sends a token with each call.
func NewClient(conn grpc.ClientConnInterface, token string) *Client {
	return &Client{progress: progressv1.NewProgressServiceClient(conn), token: token}
}

// Enroll enrolls the learner in a path, and returns the path's version that they are on.
func (c *Client) Enroll(ctx context.Context, path string) (int32, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.token)
	answer, err := c.progress.CreateEnrollment(ctx, &progressv1.CreateEnrollmentRequest{LearnerId: "me", PathId: path})
	if err != nil {
		return 0, fmt.Errorf("enroll in %s: %w", path, err)
	}
	return answer.GetEnrollment().GetPathVersion(), nil
}

// Reason returns the reason of an error, as REST's problem documents have it, or "".
func Reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}
