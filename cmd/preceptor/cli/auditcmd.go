package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

// auditPage is how many entries one request fetches: the most that are allowed.
const auditPage = 500

// auditTool checks the chains of admin commands.
type auditTool struct {
	remote

	out     io.Writer
	service string
}

func (p Process) auditCommand() *cli.Command {
	t := &auditTool{out: p.Stdout, remote: remote{
		process: p, subject: "preceptor-audit", role: auth.RoleAdmin, admits: "admin", timeout: time.Minute, needs: p.Services.Audited(),
	}}
	return &cli.Command{
		Name:  "audit",
		Usage: "check the record of what admins did",
		Commands: []*cli.Command{{
			Name: "verify", Usage: "read the chains of admin commands, and report whether anybody changed them",
			Description: withoutServer + "Prints the head of each chain: stored elsewhere, it also shows that a chain was written anew.\n" +
				"Exit codes: 0 whole, 1 broken or it failed, 2 usage.",
			Flags: append(t.flags(), text("", "service", server.List(p.Services.Audited(), "or")+"; all of them when not given", "", &t.service)),
			Action: t.action(func(ctx context.Context, c *cli.Command) error {
				if err := noArguments(c); err != nil {
					return err
				}
				return t.verify(ctx)
			}),
		}},
	}
}

// verify prints a line for each chain, and fails when one is not whole.
func (t *auditTool) verify(ctx context.Context) error {
	services := t.needs
	if t.service != "" {
		if !slices.Contains(services, t.service) {
			return server.Usagef("--service %s records no admin commands (want %s)", t.service, server.List(services, "or"))
		}
		services, t.needs = []string{t.service}, []string{t.service}
	}
	var failed error
	for _, service := range services {
		head, err := t.walk(ctx, service)
		if broken, ok := errors.AsType[*audit.BrokenError](err); ok {
			fmt.Fprintf(t.out, "%s: %s\n", service, broken)
			failed = exitError(exitFailed)
			continue
		}
		if err != nil {
			return err
		}
		t.print(service, head)
	}
	return failed
}

func (t *auditTool) print(service string, head audit.Head) {
	switch head.Sequence {
	case 0:
		fmt.Fprintf(t.out, "%s: no entries\n", service)
	case 1:
		fmt.Fprintf(t.out, "%s: 1 entry, chain whole, head %s\n", service, head.Hash)
	default:
		fmt.Fprintf(t.out, "%s: %d entries, chain whole, head %s\n", service, head.Sequence, head.Hash)
	}
}

// walk follows a chain from its beginning to its head.
func (t *auditTool) walk(ctx context.Context, service string) (audit.Head, error) {
	var head audit.Head
	for {
		page, err := t.page(ctx, service, head.Sequence)
		if err != nil {
			return head, err
		}
		for _, entry := range page.Entries {
			if head, err = head.FollowJSON(entry); err != nil {
				return head, err
			}
		}
		switch {
		case head.Sequence == page.HeadSequence:
			return head, nil
		case head.Sequence > page.HeadSequence:
			return head, &audit.BrokenError{Sequence: page.HeadSequence + 1, Why: "the head of the chain comes before it"}
		case len(page.Entries) == 0:
			return head, &audit.BrokenError{Sequence: head.Sequence + 1, Why: fmt.Sprintf("it is missing, and the chain goes to %d", page.HeadSequence)}
		}
	}
}

// chainPage is a part of a chain, its entries as they came.
type chainPage struct {
	Entries      []json.RawMessage `json:"entries"`
	HeadSequence int64             `json:"headSequence,string"`
}

func (t *auditTool) page(ctx context.Context, service string, after int64) (page chainPage, err error) {
	query := url.Values{"service": {service}, "afterSequence": {strconv.FormatInt(after, 10)}, "pageSize": {strconv.Itoa(auditPage)}}
	resp, err := t.send(ctx, http.MethodGet, "/v1/audit?"+query.Encode(), nil, "application/json")
	if err != nil {
		return page, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return page, fmt.Errorf("the server's response cannot be read: %w", err)
	}
	return page, nil
}
