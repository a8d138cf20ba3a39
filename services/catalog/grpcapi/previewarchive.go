package grpcapi

import (
	"context"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
)

// PreviewArchiveModule returns what ArchiveModule would do.
func (s *Server) PreviewArchiveModule(
	ctx context.Context,
	req *catalogv1.PreviewArchiveModuleRequest,
) (*catalogv1.PreviewArchiveModuleResponse, error) {
	sunset, err := timeOf("sunsetTime", req.GetSunsetTime())
	if err != nil {
		return nil, err
	}
	preview, err := s.service.PreviewArchiveModule(ctx, req.GetModuleId(), sunset)
	if err != nil {
		return nil, err
	}
	resp := &catalogv1.PreviewArchiveModuleResponse{
		Violations:              violationsProto(preview.Violations),
		Warnings:                violationsProto(preview.Warnings),
		MoreWarnings:            moreProto(preview.MoreWarnings),
		PathIds:                 preview.Paths,
		PrerequisiteOfModuleIds: preview.Prerequisite,
		CreditsModuleIds:        preview.Credits,
		DraftModuleIds:          preview.DraftModules,
		DraftPathIds:            preview.DraftPaths,
	}
	if i := preview.ModuleImpact; i != nil {
		resp.Impact = &catalogv1.ModuleArchiveImpact{
			LearnersCompleted: i.LearnersCompleted, LearnersInProgress: i.LearnersInProgress, LearnersExcused: i.LearnersExcused,
			Paths: impactedPathProtos(i.Paths),
		}
	}
	return resp, nil
}

// PreviewArchivePath returns what ArchivePath would do.
func (s *Server) PreviewArchivePath(ctx context.Context, req *catalogv1.PreviewArchivePathRequest) (*catalogv1.PreviewArchivePathResponse, error) {
	preview, err := s.service.PreviewArchivePath(ctx, req.GetPathId())
	if err != nil {
		return nil, err
	}
	resp := &catalogv1.PreviewArchivePathResponse{Violations: violationsProto(preview.Violations)}
	if i := preview.PathImpact; i != nil {
		resp.Impact = &catalogv1.PathArchiveImpact{Enrollments: pinnedProtos(i.Enrollments), AwardsHeld: i.AwardsHeld}
	}
	return resp, nil
}
