package grpcapi

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// ListPaths returns one page of paths.
func (s *Server) ListPaths(ctx context.Context, req *catalogv1.ListPathsRequest) (*catalogv1.ListPathsResponse, error) {
	out := new(catalogv1.ListPathsResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		page, err := s.service.Paths.List(ctx, catalog.Query{
			State: stateOf(req.GetState()), Role: req.GetRole(), Q: req.GetQ(),
			IDs: req.GetIds(), OrderBy: req.GetOrderBy(),
			PageSize: int(req.GetPageSize()), PageToken: req.GetPageToken(), IncludeTotal: req.GetIncludeTotal(),
			Editor: isEditor(ctx),
		})
		if err != nil {
			return nil, "", err
		}
		resp := &catalogv1.ListPathsResponse{NextPageToken: page.Next}
		for _, p := range page.Items {
			resp.Paths = append(resp.Paths, pathProto(p))
		}
		if req.GetIncludeTotal() {
			resp.TotalSize = new(int32(page.Total))
		}
		return resp, "", nil
	})
}

// GetPath returns a path.
func (s *Server) GetPath(ctx context.Context, req *catalogv1.GetPathRequest) (*catalogv1.GetPathResponse, error) {
	out := new(catalogv1.GetPathResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		path, err := s.service.Paths.Get(ctx, req.GetPathId(), isEditor(ctx))
		if err != nil {
			return nil, "", err
		}
		return &catalogv1.GetPathResponse{Path: pathProto(path)}, etagFor(ctx, path.Etag()), nil
	})
}

// ListPathVersions returns one page of a path's versions.
func (s *Server) ListPathVersions(ctx context.Context, req *catalogv1.ListPathVersionsRequest) (*catalogv1.ListPathVersionsResponse, error) {
	out := new(catalogv1.ListPathVersionsResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		page, err := s.service.Paths.Versions(ctx, req.GetPathId(), int(req.GetPageSize()), req.GetPageToken(), isEditor(ctx))
		if err != nil {
			return nil, "", err
		}
		resp := &catalogv1.ListPathVersionsResponse{NextPageToken: page.Next}
		for _, v := range page.Items {
			resp.Versions = append(resp.Versions, PathVersion(v))
		}
		return resp, "", nil
	})
}

// GetPathVersion returns one version.
func (s *Server) GetPathVersion(ctx context.Context, req *catalogv1.GetPathVersionRequest) (*catalogv1.GetPathVersionResponse, error) {
	out := new(catalogv1.GetPathVersionResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		version, err := s.service.Paths.Version(ctx, req.GetPathId(), int(req.GetNumber()))
		if err != nil {
			return nil, "", err
		}
		resp := &catalogv1.GetPathVersionResponse{Version: PathVersion(version)}
		return resp, "", nil
	})
}

// CreatePath creates a draft, and sets its Location.
func (s *Server) CreatePath(ctx context.Context, req *catalogv1.CreatePathRequest) (*catalogv1.CreatePathResponse, error) {
	key, err := rpc.IdempotencyKey(ctx, catalogv1.CatalogService_CreatePath_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	encoded, replayed, err := s.service.Paths.Create(ctx, req.GetPathId(), pathContentOf(req.GetContent()), key, func(p catalog.Path) ([]byte, error) {
		return proto.Marshal(&catalogv1.CreatePathResponse{Path: pathProto(p)})
	})
	if err != nil {
		return nil, err
	}
	resp := &catalogv1.CreatePathResponse{}
	if err := proto.Unmarshal(encoded, resp); err != nil {
		return nil, err
	}
	return resp, setCreated(ctx, "/v1/paths/"+resp.GetPath().GetId(), resp.GetPath().GetEtag(), replayed)
}

// UpdatePath edits a draft.
func (s *Server) UpdatePath(ctx context.Context, req *catalogv1.UpdatePathRequest) (*catalogv1.UpdatePathResponse, error) {
	mask, err := rpc.ReadMask(req.GetUpdateMask(), req.GetContent())
	if err != nil {
		return nil, err
	}
	match := rpc.PreconditionsOf(ctx, req.GetEtag()).Match
	path, err := s.service.Paths.Update(ctx, req.GetPathId(), match, func(c catalog.PathContent) (catalog.PathContent, error) {
		merged := pathContentProto(c)
		mask.Merge(merged, req.GetContent())
		return pathContentOf(merged), nil
	})
	if err != nil {
		return nil, err
	}
	return &catalogv1.UpdatePathResponse{Path: pathProto(path)}, setEtag(ctx, path.Etag())
}

// DeletePath discards a draft that was never published.
func (s *Server) DeletePath(ctx context.Context, req *catalogv1.DeletePathRequest) (*catalogv1.DeletePathResponse, error) {
	err := s.service.Paths.Discard(ctx, req.GetPathId(), rpc.PreconditionsOf(ctx, req.GetEtag()).Match)
	if err != nil {
		return nil, err
	}
	return &catalogv1.DeletePathResponse{}, nil
}

// PreviewPath returns what PublishPath would do.
func (s *Server) PreviewPath(ctx context.Context, req *catalogv1.PreviewPathRequest) (*catalogv1.PreviewPathResponse, error) {
	preview, err := s.service.PreviewPath(ctx, req.GetPathId())
	if err != nil {
		return nil, err
	}
	return &catalogv1.PreviewPathResponse{
		Violations:       violationsProto(preview.Violations),
		MoreViolations:   moreProto(preview.MoreViolations),
		Warnings:         violationsProto(preview.Warnings),
		MoreWarnings:     moreProto(preview.MoreWarnings),
		AddedModuleIds:   preview.AddedModules,
		RemovedModuleIds: preview.RemovedModules,
		Impact:           pathImpactProto(preview.PathImpact),
	}, nil
}

// PublishPath makes the draft a version.
func (s *Server) PublishPath(ctx context.Context, req *catalogv1.PublishPathRequest) (*catalogv1.PublishPathResponse, error) {
	path, err := s.service.Paths.Publish(ctx, req.GetPathId(), catalog.Publication{}, rpc.PreconditionsOf(ctx, req.GetEtag()).Match, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &catalogv1.PublishPathResponse{Path: pathProto(path)}, setChanged(ctx, path.Etag(), path.Revision)
}

// ArchivePath ends new enrollments.
func (s *Server) ArchivePath(ctx context.Context, req *catalogv1.ArchivePathRequest) (*catalogv1.ArchivePathResponse, error) {
	path, err := s.service.Paths.Archive(ctx, req.GetPathId(), time.Time{}, rpc.PreconditionsOf(ctx, req.GetEtag()).Match, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &catalogv1.ArchivePathResponse{Path: pathProto(path)}, setChanged(ctx, path.Etag(), path.Revision)
}

// RestorePath makes a path active again.
func (s *Server) RestorePath(ctx context.Context, req *catalogv1.RestorePathRequest) (*catalogv1.RestorePathResponse, error) {
	path, err := s.service.Paths.Restore(ctx, req.GetPathId(), rpc.PreconditionsOf(ctx, req.GetEtag()).Match, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &catalogv1.RestorePathResponse{Path: pathProto(path)}, setChanged(ctx, path.Etag(), path.Revision)
}
