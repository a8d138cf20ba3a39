package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// remote is the server that a command makes requests of: a running one or, where none is, the data
// folder, opened for the command alone.
type remote struct {
	// subject and role are those of the command's own token.
	subject string
	role    auth.Role
	// admits are the roles that the server asks for, in words.
	admits string
	// needs are the services that serve the command's requests.
	needs []string
	// timeout is how long one request may take; 0 for no limit.
	timeout time.Duration
	process Process

	// http is made by the first request.
	http *http.Client
	// folder is the data folder, once it was opened.
	folder *server.Folder

	// The flags.
	server, data, token, tokenFile string
	credentials                    clientCredentials
}

// withoutServer is the part of the commands' help about a stopped server.
const withoutServer = "Makes its requests of a running server, with the token of --token, --token-file or PRECEPTOR_TOKEN, with one that\n" +
	"the issuer of --oidc-issuer gives to the client of --oidc-client-id, or else with one made with the key in --data.\n" +
	"Where no server runs, it locks the folder of --data and works on that.\n"

// flags are those for the server's address and the caller's token.
func (r *remote) flags() []cli.Flag {
	return append([]cli.Flag{
		text("", "server", "where the server is", "http://"+server.DefaultHTTP, &r.server),
		text("", "data", "the server's data folder, to make a token or to work on while no server runs", "./data", &r.data),
		&cli.StringFlag{Name: "token", Usage: "a token with the role " + r.admits, Destination: &r.token, Sources: variable("token")},
		text("", "token-file", "a file that holds such a token", "", &r.tokenFile),
	}, r.credentials.flags()...)
}

// action returns an action that makes requests, and closes what they opened.
func (r *remote) action(run func(ctx context.Context, c *cli.Command) error) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) (err error) {
		defer func() {
			if r.folder != nil {
				err = errors.Join(err, r.folder.Close(ctx))
			}
		}()
		return run(ctx, c)
	}
}

// unreachableError is that there is no running server to make requests of.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

// send makes a request. A response that is no success is an error, with every violation on
// a line of its own.
func (r *remote) send(ctx context.Context, method, path string, body []byte, accept string) (*http.Response, error) {
	resp, err := r.sendOnce(ctx, method, path, body, accept)
	if _, none := errors.AsType[unreachableError](err); !none {
		return resp, err
	}
	if err := r.openFolder(ctx, err); err != nil {
		return nil, err
	}
	return r.sendOnce(ctx, method, path, body, accept)
}

// openFolder opens the data folder. why is the error of the running server.
func (r *remote) openFolder(ctx context.Context, why error) (err error) {
	r.folder, err = server.OpenFolder(ctx, server.FolderOptions{
		Dir: r.data, Table: r.process.Services, Services: r.needs, Version: r.process.Version, Now: r.process.Now,
	})
	switch {
	case err == nil:
		return nil
	case errs.ReasonOf(err) == errs.ReasonFolderLocked:
		return fmt.Errorf("%w; and %w: say where that server is with --server", why, err)
	}
	return fmt.Errorf("%w; and the data folder cannot be used: %w", why, err)
}

// sendOnce makes a request of the running server, or of the folder once that is open.
func (r *remote) sendOnce(ctx context.Context, method, path string, body []byte, accept string) (*http.Response, error) {
	base, client := strings.TrimSuffix(r.server, "/"), r.client()
	if r.folder != nil {
		base, client = "http://folder", r.folder.Client()
	} else if parsed, err := url.Parse(r.server); err != nil || parsed.Host == "" {
		return nil, server.Usagef("--server %s is not a URL, as http://%s", r.server, server.DefaultHTTP)
	}
	token, err := r.bearer(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", accept)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, r.unreached(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, r.refusal(resp)
}

func (r *remote) client() *http.Client {
	if r.http == nil {
		r.http = &http.Client{Timeout: r.timeout, Transport: auth.HTTPTransport(r.process.Now)}
	}
	return r.http
}

// unreached is the error of a request without a response.
func (r *remote) unreached(err error) error {
	if r.folder != nil {
		return fmt.Errorf("the data folder %s cannot be used: %w", r.data, errors.Unwrap(err))
	}
	fault, ok := errors.AsType[*net.OpError](err)
	err = fmt.Errorf("the server at %s cannot be reached (is it running? give another one with --server): %w", r.server, errors.Unwrap(err))
	if ok && fault.Op == "dial" {
		return unreachableError{err}
	}
	return err
}

// refusal prints why the server refuses the request.
func (r *remote) refusal(resp *http.Response) error {
	var problem struct {
		problemText

		Violations []struct {
			Field       string `json:"field"`
			Description string `json:"description"`
			Reason      string `json:"reason"`
		} `json:"violations"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&problem); err != nil || problem.Detail == "" {
		return fmt.Errorf("%s responded %s", r.server, resp.Status)
	}
	if len(problem.Violations) == 0 {
		return r.fault(problem.problemText)
	}
	for _, v := range problem.Violations {
		fmt.Fprintf(r.process.Stderr, "%s: %s (%s)\n", v.Field, v.Description, v.Reason)
	}
	if len(problem.Violations) == errs.MaxViolations { // there may be more than are named
		return fmt.Errorf("nothing was changed: %s", problem.Detail)
	}
	return fmt.Errorf("nothing was changed: %d %s to correct", len(problem.Violations), plural(len(problem.Violations), "fault"))
}

// problemText is what a problem says in words.
type problemText struct {
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	RequestID string `json:"requestId"`
}

// fault is a problem as an error. Where the server's log has more, it has the request's id; where the
// command works on the folder there is no such log, and the cause is known here.
func (r *remote) fault(p problemText) error {
	switch {
	case p.Status < http.StatusInternalServerError || p.RequestID == "":
		return errors.New(p.Detail)
	case r.folder == nil:
		return fmt.Errorf("%s (requestId %s)", p.Detail, p.RequestID)
	}
	if cause := r.folder.Fault(p.RequestID); cause != "" {
		return fmt.Errorf("the data folder %s cannot be used: %s", r.data, cause)
	}
	return errors.New(p.Detail)
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// bearer is the token that was given, or one made for the command.
func (r *remote) bearer(ctx context.Context) (string, error) {
	switch {
	case r.folder != nil:
		return r.folder.Token(r.subject, r.role)
	case r.token != "":
		return r.token, nil
	case r.tokenFile != "":
		content, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return "", fmt.Errorf("the token file cannot be read: %w", err)
		}
		token := strings.TrimSpace(string(content))
		if token == "" {
			return "", fmt.Errorf("the token file %s is empty", r.tokenFile)
		}
		return token, nil
	case r.credentials.given():
		return r.credentials.bearer(ctx, r.process.Now)
	}
	if _, err := os.Stat(filepath.Join(r.data, auth.LocalKeyFile)); err != nil {
		return "", unreachableError{fmt.Errorf("there is no token, and %s has no %s to make one with: give --token, --token-file, or the server's folder with --data",
			r.data, auth.LocalKeyFile)}
	}
	issuer, err := openIssuer(r.data, r.process.Now)
	if err != nil {
		return "", err
	}
	return issuer.MintCommand(r.subject, r.role, server.CommandLife)
}
