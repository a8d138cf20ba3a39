package grpcapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// ListModules returns one page of modules.
func (s *Server) ListModules(ctx context.Context, req *catalogv1.ListModulesRequest) (*catalogv1.ListModulesResponse, error) {
	out := new(catalogv1.ListModulesResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		page, err := s.service.Modules.List(ctx, catalog.Query{
			State: stateOf(req.GetState()), Topic: req.GetTopic(), Level: req.GetLevel(), Role: req.GetRole(), Q: req.GetQ(),
			IDs: req.GetIds(), OrderBy: req.GetOrderBy(),
			PageSize: int(req.GetPageSize()), PageToken: req.GetPageToken(), IncludeTotal: req.GetIncludeTotal(),
			Editor: isEditor(ctx),
		})
		if err != nil {
			return nil, "", err
		}
		resp := &catalogv1.ListModulesResponse{NextPageToken: page.Next}
		for _, m := range page.Items {
			resp.Modules = append(resp.Modules, moduleProto(m))
		}
		if req.GetIncludeTotal() {
			resp.TotalSize = new(int32(page.Total))
		}
		return resp, "", nil
	})
}

// GetModule returns a module.
func (s *Server) GetModule(ctx context.Context, req *catalogv1.GetModuleRequest) (*catalogv1.GetModuleResponse, error) {
	out := new(catalogv1.GetModuleResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		module, err := s.service.Modules.Get(ctx, req.GetModuleId(), isEditor(ctx))
		if err != nil {
			return nil, "", err
		}
		return &catalogv1.GetModuleResponse{Module: moduleProto(module)}, etagFor(ctx, module.Etag()), nil
	})
}

// ListModuleVersions returns one page of a module's versions.
func (s *Server) ListModuleVersions(ctx context.Context, req *catalogv1.ListModuleVersionsRequest) (*catalogv1.ListModuleVersionsResponse, error) {
	out := new(catalogv1.ListModuleVersionsResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		page, err := s.service.Modules.Versions(ctx, req.GetModuleId(), int(req.GetPageSize()), req.GetPageToken(), isEditor(ctx))
		if err != nil {
			return nil, "", err
		}
		resp := &catalogv1.ListModuleVersionsResponse{NextPageToken: page.Next}
		for _, v := range page.Items {
			resp.Versions = append(resp.Versions, ModuleVersion(v))
		}
		return resp, "", nil
	})
}

// GetModuleVersion returns one version.
func (s *Server) GetModuleVersion(ctx context.Context, req *catalogv1.GetModuleVersionRequest) (*catalogv1.GetModuleVersionResponse, error) {
	out := new(catalogv1.GetModuleVersionResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		version, err := s.service.Modules.Version(ctx, req.GetModuleId(), int(req.GetNumber()))
		if err != nil {
			return nil, "", err
		}
		resp := &catalogv1.GetModuleVersionResponse{Version: ModuleVersion(version)}
		return resp, "", nil
	})
}

// CreateModule creates a draft, and sets its Location.
func (s *Server) CreateModule(ctx context.Context, req *catalogv1.CreateModuleRequest) (*catalogv1.CreateModuleResponse, error) {
	key, err := rpc.IdempotencyKey(ctx, catalogv1.CatalogService_CreateModule_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	encoded, replayed, err := s.service.Modules.Create(ctx, req.GetModuleId(), moduleContentOf(req.GetContent()), key, func(m catalog.Module) ([]byte, error) {
		return proto.Marshal(&catalogv1.CreateModuleResponse{Module: moduleProto(m)})
	})
	if err != nil {
		return nil, err
	}
	resp := &catalogv1.CreateModuleResponse{}
	if err := proto.Unmarshal(encoded, resp); err != nil {
		return nil, err
	}
	return resp, setCreated(ctx, "/v1/modules/"+resp.GetModule().GetId(), resp.GetModule().GetEtag(), replayed)
}

// UpdateModule edits a draft.
func (s *Server) UpdateModule(ctx context.Context, req *catalogv1.UpdateModuleRequest) (*catalogv1.UpdateModuleResponse, error) {
	mask, err := rpc.ReadMask(req.GetUpdateMask(), req.GetContent())
	if err != nil {
		return nil, err
	}
	match := rpc.PreconditionsOf(ctx, req.GetEtag()).Match
	module, err := s.service.Modules.Update(ctx, req.GetModuleId(), match, func(c catalog.ModuleContent) (catalog.ModuleContent, error) {
		merged := moduleContentProto(c)
		mask.Merge(merged, req.GetContent())
		return moduleContentOf(merged), nil
	})
	if err != nil {
		return nil, err
	}
	return &catalogv1.UpdateModuleResponse{Module: moduleProto(module)}, setEtag(ctx, module.Etag())
}

// DeleteModule discards a draft that was never published.
func (s *Server) DeleteModule(ctx context.Context, req *catalogv1.DeleteModuleRequest) (*catalogv1.DeleteModuleResponse, error) {
	err := s.service.Modules.Discard(ctx, req.GetModuleId(), rpc.PreconditionsOf(ctx, req.GetEtag()).Match)
	if err != nil {
		return nil, err
	}
	return &catalogv1.DeleteModuleResponse{}, nil
}

// PreviewModule returns what PublishModule would do.
func (s *Server) PreviewModule(ctx context.Context, req *catalogv1.PreviewModuleRequest) (*catalogv1.PreviewModuleResponse, error) {
	effective, err := timeOf("effectiveTime", req.GetEffectiveTime())
	if err != nil {
		return nil, err
	}
	preview, err := s.service.PreviewModule(ctx, req.GetModuleId(), catalog.Publication{
		ChangeClass: classOf(req.GetChangeClass()), Retake: retakeOf(req.GetRetake()), EffectiveTime: effective,
	})
	if err != nil {
		return nil, err
	}
	return &catalogv1.PreviewModuleResponse{
		Violations:     violationsProto(preview.Violations),
		MoreViolations: moreProto(preview.MoreViolations),
		Warnings:       violationsProto(preview.Warnings),
		MoreWarnings:   moreProto(preview.MoreWarnings),
		ChangedUnitIds: preview.ChangedUnits,
		RemovedUnitIds: preview.RemovedUnits,
		PathIds:        preview.Paths,
		Impact:         moduleImpactProto(preview.ModuleImpact),
	}, nil
}

// PublishModule makes the draft a version.
func (s *Server) PublishModule(ctx context.Context, req *catalogv1.PublishModuleRequest) (*catalogv1.PublishModuleResponse, error) {
	effective, err := timeOf("effectiveTime", req.GetEffectiveTime())
	if err != nil {
		return nil, err
	}
	publication := catalog.Publication{
		ChangeClass: classOf(req.GetChangeClass()), Retake: retakeOf(req.GetRetake()), EffectiveTime: effective,
	}
	module, err := s.service.Modules.Publish(ctx, req.GetModuleId(), publication, rpc.PreconditionsOf(ctx, req.GetEtag()).Match, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &catalogv1.PublishModuleResponse{Module: moduleProto(module)}, setChanged(ctx, module.Etag(), module.Revision)
}

// ArchiveModule ends new starts.
func (s *Server) ArchiveModule(ctx context.Context, req *catalogv1.ArchiveModuleRequest) (*catalogv1.ArchiveModuleResponse, error) {
	sunset, err := timeOf("sunsetTime", req.GetSunsetTime())
	if err != nil {
		return nil, err
	}
	module, err := s.service.Modules.Archive(ctx, req.GetModuleId(), sunset, rpc.PreconditionsOf(ctx, req.GetEtag()).Match, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &catalogv1.ArchiveModuleResponse{Module: moduleProto(module)}, setChanged(ctx, module.Etag(), module.Revision)
}

// RestoreModule makes a module active again.
func (s *Server) RestoreModule(ctx context.Context, req *catalogv1.RestoreModuleRequest) (*catalogv1.RestoreModuleResponse, error) {
	module, err := s.service.Modules.Restore(ctx, req.GetModuleId(), rpc.PreconditionsOf(ctx, req.GetEtag()).Match, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &catalogv1.RestoreModuleResponse{Module: moduleProto(module)}, setChanged(ctx, module.Etag(), module.Revision)
}
