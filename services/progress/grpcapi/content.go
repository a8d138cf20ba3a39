package grpcapi

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// contentForm is a part of a content's ETag: it is to change when contents come to show the same
// versions in another form, as with a field more.
const contentForm = "1"

// GetPathContent returns what a learner learns on a path. The versions are translated only for a caller
// who does not have them.
func (g *Server) GetPathContent(ctx context.Context, r *progressv1.GetPathContentRequest) (*progressv1.GetPathContentResponse, error) {
	c, a, err := g.service.Content(ctx, r.GetLearnerId(), r.GetPathId(), atLeast(ctx))
	if err != nil {
		return nil, err
	}
	out := new(progressv1.GetPathContentResponse)
	if a.Unchanged != "" {
		return out, setHeaders(ctx, a, "")
	}
	etag := contentETag(c)
	if name := rpc.BareEtag(etag); slices.Contains(rpc.Known(ctx), name) {
		return out, rpc.Unchanged(ctx, name)
	}
	if out.Content, err = contentProto(c); err != nil {
		return nil, err
	}
	return out, setHeaders(ctx, a, etag)
}

// contentETag names the versions, whoever learns them.
func contentETag(c *progress.PathContent) string {
	parts := append(make([][]byte, 0, 3+2*len(c.Modules)), []byte(contentForm), []byte(c.PathID), []byte(c.Version.Digest))
	for _, m := range c.Modules {
		parts = append(parts, []byte(m.ModuleID), []byte(m.Version.Digest))
	}
	return etagOf(parts...)
}

func contentProto(c *progress.PathContent) (*progressv1.PathContent, error) {
	out := &progressv1.PathContent{PathId: c.PathID, Version: new(catalogv1.PathVersion)}
	if err := decodeVersion(c.Version, out.GetVersion()); err != nil {
		return nil, err
	}
	for _, m := range c.Modules {
		version := new(catalogv1.ModuleVersion)
		if err := decodeVersion(m.Version, version); err != nil {
			return nil, err
		}
		out.Modules = append(out.Modules, &progressv1.ModuleContent{ModuleId: m.ModuleID, Version: version})
	}
	return out, nil
}

// decodeVersion decodes a version into a message of the catalog's API.
func decodeVersion(v progress.Published, into proto.Message) error {
	if err := proto.Unmarshal(v.Body, into); err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a version of the catalog cannot be read")
	}
	return nil
}
