package catalog

import (
	"context"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// MandatePathVersion is not offered yet.
func (s *Server) MandatePathVersion(context.Context, *catalogv1.MandatePathVersionRequest) (*catalogv1.MandatePathVersionResponse, error) {
	return nil, errs.New(errs.Unimplemented, "UNIMPLEMENTED", "this is not offered yet")
}
