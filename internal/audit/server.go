package audit

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

const (
	defaultPageSize = 100
	maxPageSize     = 500
)

// Server is AuditService for the chains of one database or more.
type Server struct {
	auditv1.UnsafeAuditServiceServer

	logs map[string]*Log // by service
}

var _ auditv1.AuditServiceServer = (*Server)(nil)

// NewServer serves the chain that a service stores in its database.
func NewServer(service string, db *sqldb.DB) *Server {
	return &Server{logs: map[string]*Log{service: NewLog(db)}}
}

// Join makes one server of several, for an address that offers them all.
func Join(servers ...*Server) *Server {
	all := &Server{logs: map[string]*Log{}}
	for _, s := range servers {
		maps.Copy(all.logs, s.logs)
	}
	return all
}

// ListAuditEntries returns the entries of one chain. Invalid when the request names a
// service whose chain is not here.
func (s *Server) ListAuditEntries(ctx context.Context, req *auditv1.ListAuditEntriesRequest) (*auditv1.ListAuditEntriesResponse, error) {
	log := s.logs[req.GetService()]
	if log == nil {
		here := slices.Sorted(maps.Keys(s.logs))
		return nil, errs.InvalidFields([]errs.Violation{{
			Field: "service", Reason: errs.ReasonUnknownValue, Description: "must be " + strings.Join(here, " or "),
		}})
	}
	entries, head, err := log.Page(ctx, req.GetAfterSequence(), pageSize(req.GetPageSize()))
	if err != nil {
		return nil, err
	}
	resp := &auditv1.ListAuditEntriesResponse{
		Entries:           make([]*auditv1.AuditEntry, len(entries)),
		NextAfterSequence: req.GetAfterSequence(),
		HeadSequence:      head.Sequence,
		HeadHash:          head.Hash,
	}
	for i := range entries {
		resp.Entries[i] = entryToProto(&entries[i])
		resp.NextAfterSequence = entries[i].Sequence
	}
	return resp, nil
}

// pageSize is 100 where the request gives none, and 500 at most.
func pageSize(asked int32) int {
	if asked <= 0 {
		return defaultPageSize
	}
	return min(int(asked), maxPageSize)
}

func entryToProto(e *Entry) *auditv1.AuditEntry {
	return &auditv1.AuditEntry{
		Sequence:     e.Sequence,
		Time:         timestamppb.New(e.Time),
		Actor:        e.Actor,
		Action:       e.Action,
		Resource:     e.Resource,
		Reason:       e.Reason,
		PreviousHash: e.PreviousHash,
		Hash:         e.Hash,
	}
}
