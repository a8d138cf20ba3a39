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
	"strings"
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
	// expect are the texts of heads that were noted, and noted those heads.
	expect []string
	noted  []audit.Noted
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
			Description: withoutServer + "Prints the head of each chain, as service:sequence:hash. Note heads where nobody who can write the database can\n" +
				"change them, and give them back some day: that shows also that a chain was cut off, or written anew, since.\n\n" +
				"   preceptor audit verify --expect \"$(cat heads)\"\n\n" +
				"Exit codes: 0 whole, 1 broken or it failed, 2 usage.",
			Flags: append(t.flags(),
				text("", "service", server.List(p.Services.Audited(), "or")+"; all of them when not given", "", &t.service),
				&cli.StringSliceFlag{
					Name: "expect", Destination: &t.expect,
					Usage: "a head that was noted, as service:sequence:hash; may be repeated, or have several with spaces between",
				}),
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
	if err := t.readExpected(services); err != nil {
		return err
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

// readExpected reads the heads that were noted, of chains that are verified.
func (t *auditTool) readExpected(services []string) error {
	for text := range strings.FieldsSeq(strings.Join(t.expect, " ")) {
		noted, err := audit.ParseNoted(text)
		if err != nil {
			return server.Usagef("--expect %s: %s", text, err)
		}
		if !slices.Contains(services, noted.Service) {
			return server.Usagef("--expect %s is of a chain that is not verified (want %s)", text, server.List(services, "or"))
		}
		t.noted = append(t.noted, noted)
	}
	return nil
}

func (t *auditTool) print(service string, head audit.Head) {
	noted := audit.Noted{Service: service, Head: head}
	switch head.Sequence {
	case 0:
		fmt.Fprintf(t.out, "%s: no entries\n", service)
	case 1:
		fmt.Fprintf(t.out, "%s: 1 entry, chain whole, head %s\n", service, noted)
	default:
		fmt.Fprintf(t.out, "%s: %d entries, chain whole, head %s\n", service, head.Sequence, noted)
	}
}

// walk follows a chain from its beginning to its head, past the heads that were noted of it.
func (t *auditTool) walk(ctx context.Context, service string) (audit.Head, error) {
	var head audit.Head
	noted := slices.DeleteFunc(slices.Clone(t.noted), func(n audit.Noted) bool { return n.Service != service })
	for {
		page, err := t.page(ctx, service, head.Sequence)
		if err != nil {
			return head, err
		}
		for _, entry := range page.Entries {
			if head, err = head.FollowJSON(entry); err != nil {
				return head, err
			}
			for _, n := range noted {
				if err := n.Compare(head); err != nil {
					return head, err
				}
			}
		}
		if len(page.Entries) > 0 && head.Sequence < page.HeadSequence {
			continue
		}
		return head, endOf(head, page, noted)
	}
}

// endOf reports what is wrong with where a chain ends.
func endOf(head audit.Head, page chainPage, noted []audit.Noted) error {
	if page.HeadHash == "" && page.HeadSequence > 0 {
		return errors.New("the server is older than this command: it does not send the hash of a chain's head")
	}
	if err := head.Stored(audit.Head{Sequence: page.HeadSequence, Hash: page.HeadHash}); err != nil {
		return err
	}
	for _, n := range noted {
		if err := n.End(head); err != nil {
			return err
		}
	}
	return nil
}

// chainPage is a part of a chain, its entries as they came.
type chainPage struct {
	Entries      []json.RawMessage `json:"entries"`
	HeadSequence int64             `json:"headSequence,string"`
	HeadHash     string            `json:"headHash"`
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
