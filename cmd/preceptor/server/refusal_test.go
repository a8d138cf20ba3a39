package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// logBook is a log that a test reads while others write to it.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines are those that contain a text.
func (l *logBook) lines(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// TestDatabaseRefusesWrites has the catalog's database full, and later not any more, with nobody writing.
func TestDatabaseRefusesWrites(t *testing.T) {
	t.Parallel()
	log := &logBook{}
	p := openAllWith(t, testenv.Now, func(p *process) {
		p.log, p.metrics = slog.New(slog.NewTextHandler(log, nil)), metrics.New("test")
	})
	create := creator(t, p)
	if err := create(); err != nil {
		t.Fatal(err)
	}
	expectRefusal(t, p, "", 0)

	catalog := p.find(Catalog)
	limitPages(t, catalog.db, 1) // which is to say: as many as there are
	var err error
	for range 1000 {
		if err = create(); err != nil {
			break
		}
	}
	reason := ""
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	if status.Code(err) != codes.Unavailable || reason != "DATABASE_FULL" {
		t.Fatalf("%s, %v", reason, err)
	}
	expectRefusal(t, p, "the database of catalog refuses writes: its disk is full", 1)
	if lines := log.lines("refuses writes"); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "DATABASE_FULL") {
		t.Errorf("the log has %q", lines)
	}

	limitPages(t, catalog.db, 1<<30)
	for range 6000 {
		if catalog.db.Refusal() == "" && len(log.lines("takes writes again")) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	expectRefusal(t, p, "", 0)
	if lines := log.lines("takes writes again"); len(lines) != 1 || !strings.Contains(lines[0], "level=INFO") {
		t.Errorf("the log has %q", lines)
	}
	if err := create(); err != nil {
		t.Error(err)
	}
}

// creator returns a call that creates a module of some size.
func creator(t *testing.T, p *process) func() error {
	t.Helper()
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuer.Mint("author", []auth.Role{auth.RoleAuthor}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	client := catalogv1.NewCatalogServiceClient(p.find(Catalog).server.InProcess(Gateway))
	made := 0
	return func() error {
		made++
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		_, err := client.CreateModule(ctx, &catalogv1.CreateModuleRequest{
			ModuleId: fmt.Sprintf("large-%d", made),
			Content:  &catalogv1.ModuleVersion{Title: "Large", Summary: strings.Repeat("words ", 300)},
		})
		return err
	}
}

func limitPages(t *testing.T, db *sqldb.DB, pages int) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expectRefusal looks at /readyz and the metrics: the process is ready in any case.
func expectRefusal(t *testing.T, p *process, degraded string, gauge int) {
	t.Helper()
	var page struct {
		Status   string
		Degraded []string
	}
	ready := httptest.NewRecorder()
	p.state(t.Context()).Write(ready)
	if err := json.Unmarshal(ready.Body.Bytes(), &page); err != nil || ready.Code != http.StatusOK {
		t.Errorf("%d %s", ready.Code, ready.Body)
	}
	if degraded == "" && (page.Status != "ready" || len(page.Degraded) > 0) ||
		degraded != "" && (page.Status != "degraded" || !slices.Equal(page.Degraded, []string{degraded})) {
		t.Errorf("/readyz is %+v, want %q", page, degraded)
	}
	shown := httptest.NewRecorder()
	p.metrics.Handler().ServeHTTP(shown, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for database, want := range map[string]int{Catalog: gauge, Profile: 0, Progress: 0} {
		line := fmt.Sprintf("preceptor_db_refuses_writes{database=%q,reason=\"DATABASE_FULL\"} %d\n", database, want)
		if !strings.Contains(shown.Body.String(), line) {
			t.Errorf("the metrics do not have %s", line)
		}
	}
}
