// Package grpcapi serves the catalog service over gRPC: it translates between the
// messages of catalog.proto and the types of package catalog.
package grpcapi

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// exportChunk is how much of an export one message carries.
const exportChunk = 64 << 10

// Server is the service as gRPC offers it.
type Server struct {
	catalogv1.UnsafeCatalogServiceServer

	service *catalog.Service
	imports *importQueue
	answers answers
}

var _ catalogv1.CatalogServiceServer = (*Server)(nil)

// NewServer makes a Server. now is the time by which it forgets answers.
func NewServer(service *catalog.Service, now func() time.Time) *Server {
	return &Server{service: service, imports: newImportQueue(), answers: newAnswers(now)}
}

// ListTopics returns one page of topics with their numbers of active modules.
func (s *Server) ListTopics(ctx context.Context, req *catalogv1.ListTopicsRequest) (*catalogv1.ListTopicsResponse, error) {
	out := new(catalogv1.ListTopicsResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		token, err := page.NewToken("topics")
		if err != nil {
			return nil, "", err
		}
		after, err := token.ReadKey(req.GetPageToken())
		if err != nil {
			return nil, "", err
		}
		topics, err := s.service.Topics(ctx)
		if err != nil {
			return nil, "", err
		}
		topics, next := page.Cut(token, topics, after, page.Size(int(req.GetPageSize())), func(t catalog.Topic) string { return t.ID })
		resp := &catalogv1.ListTopicsResponse{NextPageToken: next}
		for _, t := range topics {
			resp.Topics = append(resp.Topics, &catalogv1.Topic{Id: t.ID, ModuleCount: int32(t.Modules)})
		}
		return resp, "", nil
	})
}

// ListCatalogChanges returns the changes, by revision. Who made them is for editors only: it is a
// person.
func (s *Server) ListCatalogChanges(ctx context.Context, req *catalogv1.ListCatalogChangesRequest) (*catalogv1.ListCatalogChangesResponse, error) {
	out := new(catalogv1.ListCatalogChangesResponse)
	return out, s.answer(ctx, req, out, func() (proto.Message, string, error) {
		changes, revision, err := s.service.Changes(ctx, req.GetAfterRevision(), int(req.GetPageSize()))
		if err != nil {
			return nil, "", err
		}
		resp := &catalogv1.ListCatalogChangesResponse{Revision: revision}
		editor := isEditor(ctx)
		for _, c := range changes {
			if !editor {
				c.Actor = ""
			}
			resp.Changes = append(resp.Changes, &catalogv1.CatalogChange{
				Revision:   c.Revision,
				Kind:       catalogv1.CatalogChange_Kind(catalogv1.CatalogChange_Kind_value[string(c.Kind)]),
				Id:         c.ID,
				Action:     catalogv1.CatalogChange_Action(catalogv1.CatalogChange_Action_value[string(c.Action)]),
				Version:    int32(c.Version),
				ChangeTime: timestamppb.New(c.Time),
				Actor:      c.Actor,
			})
		}
		return resp, "", nil
	})
}

// SyncCatalog streams what changed, whole, and last the revision reached.
func (s *Server) SyncCatalog(req *catalogv1.SyncCatalogRequest, stream grpc.ServerStreamingServer[catalogv1.SyncCatalogResponse]) error {
	return feed.Send(stream, req.GetAfterRevision(), catalogFeed{s.service})
}

// catalogFeed is the source of SyncCatalog.
type catalogFeed struct{ service *catalog.Service }

// Page returns all that changed on one page, modules before the paths that name them.
func (f catalogFeed) Page(ctx context.Context, after int64) (changes []*catalogv1.SyncCatalogResponse, revision int64, more bool, err error) {
	changed, err := f.service.Sync(ctx, after)
	for _, m := range changed.Modules {
		changes = append(changes, &catalogv1.SyncCatalogResponse{Item: &catalogv1.SyncCatalogResponse_Module{Module: moduleRecordProto(m)}})
	}
	for _, p := range changed.Paths {
		changes = append(changes, &catalogv1.SyncCatalogResponse{Item: &catalogv1.SyncCatalogResponse_Path{Path: pathRecordProto(p)}})
	}
	return changes, changed.Revision, false, err
}

// Marker returns the last message.
func (f catalogFeed) Marker(revision int64) *catalogv1.SyncCatalogResponse {
	return &catalogv1.SyncCatalogResponse{Item: &catalogv1.SyncCatalogResponse_Revision{Revision: revision}}
}

// ImportCatalog publishes what changed in files.
func (s *Server) ImportCatalog(ctx context.Context, req *catalogv1.ImportCatalogRequest) (*catalogv1.ImportCatalogResponse, error) {
	files := make([]catalog.File, 0, len(req.GetFiles()))
	size := 0
	for _, f := range req.GetFiles() {
		files = append(files, catalog.File{Name: f.GetName(), Content: f.GetContent()})
		size += len(f.GetName()) + len(f.GetContent())
	}
	leave, err := s.imports.enter(ctx, size)
	if err != nil {
		return nil, err
	}
	defer leave()
	done, err := s.service.Import(ctx, files, catalog.ImportOptions{DryRun: req.GetDryRun(), Actor: actor(ctx)})
	if err != nil {
		return nil, err
	}
	resp := &catalogv1.ImportCatalogResponse{
		Revision: done.Revision, UnchangedCount: int32(done.Unchanged), Warnings: violationsProto(done.Warnings), MoreWarnings: moreProto(done.MoreWarnings),
	}
	for _, c := range done.Changes {
		change := &catalogv1.ImportChange{
			Kind:        catalogv1.ImportChange_Kind(catalogv1.ImportChange_Kind_value[string(c.Kind)]),
			Id:          c.ID,
			Version:     int32(c.Version),
			Differences: c.Differences,
		}
		if c.ChangeClass != "" {
			change.ChangeClass = classProto(c.ChangeClass).Enum()
		}
		resp.Changes = append(resp.Changes, change)
	}
	if req.GetDryRun() {
		return resp, nil
	}
	return resp, setRevision(ctx, done.Revision)
}

// ExportCatalog streams the published catalog as one document.
func (s *Server) ExportCatalog(req *catalogv1.ExportCatalogRequest, stream grpc.ServerStreamingServer[catalogv1.ExportCatalogResponse]) error {
	format := catalog.FormatYAML
	if req.GetFormat() == catalogv1.ExportCatalogRequest_JSON {
		format = catalog.FormatJSON
	}
	text, err := s.service.Export(stream.Context(), format)
	if err != nil {
		return err
	}
	for len(text) > 0 {
		n := min(len(text), exportChunk)
		if err := stream.Send(&catalogv1.ExportCatalogResponse{Chunk: text[:n]}); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// isEditor reports whether the caller may see drafts.
func isEditor(ctx context.Context) bool {
	caller, _ := auth.FromContext(ctx)
	return caller.HasRole(auth.RoleAuthor) || caller.HasRole(auth.RoleAdmin)
}

// actor is the caller's subject, or the calling service.
func actor(ctx context.Context) string {
	caller, _ := auth.FromContext(ctx)
	if caller.Subject == "" {
		return caller.ActorID()
	}
	return caller.Subject
}

func setCreated(ctx context.Context, location, etag string, replayed bool) error {
	md := metadata.Pairs("http-status", "201", "location", location, "etag", strconv.Quote(etag))
	return grpc.SetHeader(ctx, rpc.MarkReplayed(md, replayed))
}

// setEtag sets the etag of an item that can be edited. Editors see more of it, so that
// theirs is another; it is the one that edits take as their precondition.
func setEtag(ctx context.Context, etag string) error {
	return grpc.SetHeader(ctx, metadata.Pairs("etag", strconv.Quote(etagFor(ctx, etag))))
}

func etagFor(ctx context.Context, etag string) string {
	if isEditor(ctx) {
		return etag
	}
	return etag + "-published"
}

func setRevision(ctx context.Context, revision int64) error {
	return grpc.SetHeader(ctx, metadata.Pairs(feed.CatalogRevision, strconv.FormatInt(revision, 10)))
}

func setChanged(ctx context.Context, etag string, revision int64) error {
	if err := setRevision(ctx, revision); err != nil {
		return err
	}
	return setEtag(ctx, etag)
}

// timeOf is an optional time of a request; zero when absent.
func timeOf(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if !t.IsValid() || t.AsTime().IsZero() { // the zero time would be taken for none
		return time.Time{}, errs.InvalidFields([]errs.Violation{{
			Field: field, Description: "must be a time after 0001-01-01T00:00:00Z and before the year 10000", Reason: errs.ReasonOutOfRange,
		}})
	}
	return t.AsTime(), nil
}
