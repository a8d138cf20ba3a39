package cli

import (
	"io"
	"log/slog"

	"google.golang.org/grpc/grpclog"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
)

// newLogger writes to w, one record a line.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var at slog.Level
	if err := at.UnmarshalText([]byte(level)); err != nil {
		return nil, server.Usagef("unknown log level %q (want debug, info, warn or error)", level)
	}
	o := &slog.HandlerOptions{Level: at}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	}
	return nil, server.Usagef("unknown log format %q (want text or json)", format)
}

// logOfGRPC has gRPC and its gateway write to the logger what they write to stderr otherwise. They call it an
// error when a client hangs up before its response, and what is an error of ours we log ourselves: so it is for
// debugging only.
func logOfGRPC(logger *slog.Logger) {
	errors := slog.NewLogLogger(logger.Handler(), slog.LevelDebug).Writer()
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, errors))
}
