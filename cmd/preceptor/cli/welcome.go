package cli

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/logs"
)

// welcome prints, once everything is served, where it is and what to try first. It is
// written in one piece, so that no log line falls into it. With logs for machines it
// is a log line itself.
func (p Process) welcome(cfg *server.Config, log *slog.Logger, at server.Endpoints) {
	took := p.Now().Sub(p.Started)
	if cfg.LogFormat != "text" {
		attrs := []any{"version", p.Version, "data", cfg.Data, logs.Duration(took)}
		if at.HTTP != nil {
			attrs = append(attrs, "http", at.HTTP.String())
		}
		if at.GRPC != nil {
			attrs = append(attrs, "grpc", at.GRPC.String())
		}
		if at.Health != nil {
			attrs = append(attrs, "health", at.Health.String())
		}
		if at.Metrics != nil {
			attrs = append(attrs, "metrics", at.Metrics.String())
		}
		log.Info("ready", attrs...)
		return
	}
	var text string
	switch cfg.Only {
	case "":
		text = p.firstScreen(cfg, at)
	case server.Gateway:
		text = fmt.Sprintf("  API      %s\n", baseURL(at.HTTP))
	default:
		where := absolute(cfg.Data)
		if cfg.OnPostgres() {
			where = "Postgres"
		}
		text = fmt.Sprintf("  gRPC     %s (mutual TLS)\n  Data     %s\n", at.GRPC, where)
	}
	what := "Preceptor"
	if cfg.Only != "" {
		what += " " + cfg.Only
		text += sidePages(at)
	}
	fmt.Fprintf(p.Stderr, "%s is ready, after %s.\n\n%s\n", what, took.Round(time.Millisecond), text)
}

// sidePages are where one of several processes is looked after.
func sidePages(at server.Endpoints) string {
	var b strings.Builder
	if at.Health != nil {
		fmt.Fprintf(&b, "  Health   %s/readyz\n", baseURL(at.Health))
	}
	if at.Metrics != nil {
		fmt.Fprintf(&b, "  Metrics  %s/metrics\n", baseURL(at.Metrics))
	}
	return b.String()
}

func (p Process) firstScreen(cfg *server.Config, at server.Endpoints) string {
	base := baseURL(at.HTTP)
	var b strings.Builder
	fmt.Fprintf(&b, "  API    %s\n  Docs   %s/docs\n", base, base)
	if at.GRPC != nil {
		fmt.Fprintf(&b, "  gRPC   %s\n", at.GRPC)
	}
	if at.Health != nil {
		fmt.Fprintf(&b, "  Health %s/readyz\n", baseURL(at.Health))
	}
	fmt.Fprintf(&b, "  Data   %s\n", absolute(cfg.Data))
	if !cfg.LocalIssuer {
		fmt.Fprintf(&b, "\n  Tokens come from %s.\n", cfg.OIDCIssuer)
		return b.String()
	}
	token := p.command() + " token --data " + quote(cfg.Data)
	fmt.Fprintf(&b, `
In another terminal, sign in as a learner and ask which paths fit:

  LEARNER=$(%s --subject ada --role learner)
  curl -H "Authorization: Bearer $LEARNER" %s/v1/learners/me/recommendedPaths

An author's token, to change the catalog:

  AUTHOR=$(%s --subject grace --role author)

Ctrl-C stops it.
`, token, base, token)
	return b.String()
}

// command is how the program was called.
func (p Process) command() string {
	name := p.Args[0]
	if dir := filepath.Dir(name); strings.Contains(dir, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/preceptor" // `go run` built it in a folder that goes away
	}
	return quote(name)
}

// baseURL is how a browser on this machine reaches an address.
func baseURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// quote makes one argument of a text for a shell.
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./_-+:@%,", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
