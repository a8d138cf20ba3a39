package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

// remote is a running server, as a command talks to it.
type remote struct {
	// subject and role are who the command is, when it mints its own token.
	subject string
	role    auth.Role
	// admits are the roles that the server asks for, in words.
	admits string
	// timeout is how long one request may take.
	timeout time.Duration
	now     func() time.Time
	// http is made by the first request.
	http *http.Client
	// err gets what the server has against a request, a line each.
	err io.Writer

	// The flags.
	server, data, token, tokenFile string
}

// flags say where the server is, and who asks.
func (r *remote) flags() []cli.Flag {
	return []cli.Flag{
		text("", "server", "where the server is", "http://"+server.DefaultHTTP, &r.server),
		text("", "data", "the server's data folder, for making a token", "./data", &r.data),
		&cli.StringFlag{Name: "token", Usage: "a token with role " + r.admits, Destination: &r.token, Sources: variable("token")},
		text("", "token-file", "a file that holds such a token", "", &r.tokenFile),
	}
}

// send makes a request. An answer that is no success is an error, with every violation on
// a line of its own.
func (r *remote) send(ctx context.Context, method, path string, body io.Reader, accept string) (*http.Response, error) {
	base, err := url.Parse(r.server)
	if err != nil || base.Host == "" {
		return nil, server.Usagef("--server %s is no URL, as http://%s", r.server, server.DefaultHTTP)
	}
	token, err := r.bearer()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.server, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", accept)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client().Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server at %s cannot be reached (is it running? give another one with --server): %w", r.server, errors.Unwrap(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, r.refusal(resp)
}

func (r *remote) client() *http.Client {
	if r.http == nil {
		r.http = &http.Client{Timeout: r.timeout, Transport: auth.HTTPTransport(r.now)}
	}
	return r.http
}

// refusal prints what the server has against the request.
func (r *remote) refusal(resp *http.Response) error {
	var problem struct {
		Detail     string `json:"detail"`
		Violations []struct {
			Field       string `json:"field"`
			Description string `json:"description"`
			Reason      string `json:"reason"`
		} `json:"violations"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&problem); err != nil || problem.Detail == "" {
		return fmt.Errorf("%s answered %s", r.server, resp.Status)
	}
	if len(problem.Violations) == 0 {
		return errors.New(problem.Detail)
	}
	for _, v := range problem.Violations {
		fmt.Fprintf(r.err, "%s: %s (%s)\n", v.Field, v.Description, v.Reason)
	}
	return fmt.Errorf("nothing was changed: %d %s to mend", len(problem.Violations), plural(len(problem.Violations), "fault"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// bearer is the token that was given, or one made with the key in the data folder.
func (r *remote) bearer() (string, error) {
	if r.token != "" {
		return r.token, nil
	}
	if r.tokenFile != "" {
		content, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return "", fmt.Errorf("the token file cannot be read: %w", err)
		}
		return strings.TrimSpace(string(content)), nil
	}
	if _, err := os.Stat(filepath.Join(r.data, auth.LocalKeyFile)); err != nil {
		return "", fmt.Errorf("there is no token, and %s has no %s to make one with: give --token, --token-file, or the server's folder with --data",
			r.data, auth.LocalKeyFile)
	}
	return mint(r.now, r.data, r.subject, []string{string(r.role)}, "", 10*time.Minute)
}
