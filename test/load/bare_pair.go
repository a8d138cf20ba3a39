package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// The bare pair is the least that REST → gRPC → Postgres can do: a gateway of net/http and encoding/json, and a
// service that has a row inserted and committed for each event, and for a read adds up the learner's rows. Between
// them is gRPC with mutual TLS, as between our services, and pgx's own pool below. Nothing is verified, validated,
// logged or retried.

// keyFiles are the files of a process's certificate.
type keyFiles struct{ authority, certificate, key string }

// mutual is TLS 1.3 with certificates on both sides.
func (k keyFiles) mutual(server string) (credentials.TransportCredentials, error) {
	pair, err := tls.LoadX509KeyPair(k.certificate, k.key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(k.authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New(k.authority + " has no certificate")
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ServerName: server,
		RootCAs: roots, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
	}), nil
}

// serveBareGateway serves REST from the service at an address.
func serveBareGateway(address, service string, keys keyFiles) error {
	creds, err := keys.mutual("preceptor-progress")
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(service, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := progressv1.NewProgressServiceClient(conn)
	return serveHTTP(address, bareHandler(bareStore{
		record: func(ctx context.Context, learner string, e bareEvent) error {
			_, err := client.BatchRecordEvents(ctx, &progressv1.BatchRecordEventsRequest{LearnerId: learner, Events: []*progressv1.ProgressEvent{{
				EventId: e.EventID, ModuleId: e.ModuleID, UnitId: e.UnitID, OccurredAt: timestamppb.New(e.OccurredAt),
				Verb: progressv1.ProgressEvent_Verb(progressv1.ProgressEvent_Verb_value[e.Verb]),
			}}})
			return err
		},
		progress: func(ctx context.Context, learner string) (*bareResponse, error) {
			answer, err := client.GetPathProgress(ctx, &progressv1.GetPathProgressRequest{LearnerId: learner})
			if err != nil {
				return nil, err
			}
			return bareFromProto(answer.GetProgress()), nil
		},
	}))
}

func bareFromProto(p *progressv1.PathProgress) *bareResponse {
	answer := &bareResponse{Percent: int(p.GetPercent())}
	for _, m := range p.GetMilestones() {
		line := bareMilestone{ID: m.GetId(), Title: m.GetTitle(), Percent: int(m.GetPercent())}
		for _, mod := range m.GetModules() {
			line.Modules = append(line.Modules, bareModule{
				ModuleID: mod.GetModuleId(), Title: mod.GetTitle(), Version: int(mod.GetVersion()), State: mod.GetState().String(),
				Percent: int(mod.GetPercent()), BlockedBy: mod.GetBlockedBy(),
			})
		}
		answer.Milestones = append(answer.Milestones, line)
	}
	return answer
}

// bareService is the service of the pair.
type bareService struct {
	progressv1.UnimplementedProgressServiceServer

	pool *pgxpool.Pool
	path *outline
}

// serveBareService serves gRPC from the database at a url.
func serveBareService(ctx context.Context, address, url, pathFile string, keys keyFiles) error {
	path, err := loadOutline(pathFile)
	if err != nil {
		return err
	}
	creds, err := keys.mutual("")
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	const schema = `CREATE TABLE event (learner TEXT, id TEXT, module TEXT, unit TEXT, verb TEXT, at BIGINT, PRIMARY KEY (learner, id))`
	if _, err := pool.Exec(ctx, schema); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(creds))
	progressv1.RegisterProgressServiceServer(s, &bareService{pool: pool, path: path})
	return s.Serve(listener)
}

// BatchRecordEvents inserts one row for the one event, and commits it.
func (s *bareService) BatchRecordEvents(ctx context.Context, r *progressv1.BatchRecordEventsRequest) (*progressv1.BatchRecordEventsResponse, error) {
	e := r.GetEvents()[0]
	_, err := s.pool.Exec(ctx, `INSERT INTO event VALUES ($1, $2, $3, $4, $5, $6)`,
		r.GetLearnerId(), e.GetEventId(), e.GetModuleId(), e.GetUnitId(), e.GetVerb().String(), e.GetOccurredAt().AsTime().UnixMicro())
	if err != nil {
		return nil, err
	}
	return &progressv1.BatchRecordEventsResponse{Results: []*progressv1.EventResult{{EventId: e.GetEventId(), Status: progressv1.EventResult_ACCEPTED}}}, nil
}

// GetPathProgress adds up a learner's completed units.
func (s *bareService) GetPathProgress(ctx context.Context, r *progressv1.GetPathProgressRequest) (*progressv1.GetPathProgressResponse, error) {
	rows, err := s.pool.Query(ctx, `SELECT module, unit, at FROM event WHERE learner = $1 AND verb = 'COMPLETED'`, r.GetLearnerId())
	if err != nil {
		return nil, err
	}
	done := map[target]bool{}
	var t target
	var at int64
	if _, err := pgx.ForEachRow(rows, []any{&t.module, &t.unit, &at}, func() error { done[t] = true; return nil }); err != nil {
		return nil, err
	}
	return &progressv1.GetPathProgressResponse{Progress: s.path.progress(done).proto()}, nil
}

// proto is the answer as the service sends it to the gateway.
func (r *bareResponse) proto() *progressv1.PathProgress {
	p := &progressv1.PathProgress{Percent: new(int32(r.Percent))}
	for _, m := range r.Milestones {
		line := &progressv1.MilestoneProgress{Id: m.ID, Title: m.Title, Percent: new(int32(m.Percent))}
		for _, mod := range m.Modules {
			line.Modules = append(line.Modules, &progressv1.ModuleProgress{
				ModuleId: mod.ModuleID, Title: mod.Title, Version: int32(mod.Version), Percent: new(int32(mod.Percent)), BlockedBy: mod.BlockedBy,
				State: progressv1.ModuleProgress_State(progressv1.ModuleProgress_State_value[mod.State]),
			})
		}
		p.Milestones = append(p.Milestones, line)
	}
	return p
}
