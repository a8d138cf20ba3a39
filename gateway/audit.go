package gateway

import (
	"context"

	"google.golang.org/grpc"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
)

// auditors are the services that have an audit log. They share one route, and the request names
// the service.
type auditors struct{ profile, catalog, progress auditv1.AuditServiceClient }

var _ auditv1.AuditServiceClient = auditors{}

// ListAuditEntries calls the service that the request names. One that names none goes to progress,
// which authenticates the caller before it refuses the request.
func (a auditors) ListAuditEntries(
	ctx context.Context, req *auditv1.ListAuditEntriesRequest, opts ...grpc.CallOption,
) (*auditv1.ListAuditEntriesResponse, error) {
	switch req.GetService() {
	case profileService:
		return a.profile.ListAuditEntries(ctx, req, opts...)
	case catalogService:
		return a.catalog.ListAuditEntries(ctx, req, opts...)
	}
	return a.progress.ListAuditEntries(ctx, req, opts...)
}
