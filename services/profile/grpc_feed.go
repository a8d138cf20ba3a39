package profile

import (
	"google.golang.org/grpc"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// SyncLearners is not offered yet.
func (s *Server) SyncLearners(*profilev1.SyncLearnersRequest, grpc.ServerStreamingServer[profilev1.SyncLearnersResponse]) error {
	return errs.New(errs.Unimplemented, "UNIMPLEMENTED", "this is not offered yet")
}
