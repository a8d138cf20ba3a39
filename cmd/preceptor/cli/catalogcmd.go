package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

// importTimeout is how long the largest import may take.
const importTimeout = 2 * time.Minute

// catalogTool reads and publishes the catalog.
type catalogTool struct {
	remote

	out io.Writer
}

func (p Process) catalogCommand() *cli.Command {
	t := &catalogTool{out: p.Stdout, remote: remote{
		process: p, subject: "preceptor-catalog", role: auth.RoleAuthor, admits: "author or admin", timeout: importTimeout, needs: []string{server.Catalog},
	}}
	var json bool
	return &cli.Command{
		Name:        "catalog",
		Usage:       "write the catalog as files, and publish what changed",
		Description: strings.TrimSpace(withoutServer),
		Commands: []*cli.Command{
			{
				Name: "apply", Usage: "publish what is new or changed in the files, all or nothing", ArgsUsage: "FILE|FOLDER…",
				Description: "Folders are searched for .yaml, .yml and .json files. Warnings name what will surprise learners, and prevent nothing. " +
					"Example:\n\n   preceptor catalog apply --data ./data catalog/",
				Flags: t.flags(),
				Action: t.action(func(ctx context.Context, c *cli.Command) error {
					_, err := t.importFiles(ctx, c.Args().Slice(), false)
					return err
				}),
			},
			{
				Name: "diff", Usage: "print what apply would publish; exit code 3 when that is anything", ArgsUsage: "FILE|FOLDER…",
				Description: "It prints the warnings of apply too. Exit codes: 0 no differences, 3 differences, 1 the files are not valid or it failed, 2 usage.",
				Flags:       t.flags(),
				Action: t.action(func(ctx context.Context, c *cli.Command) error {
					changes, err := t.importFiles(ctx, c.Args().Slice(), true)
					if err == nil && changes > 0 {
						return exitError(exitDiffers)
					}
					return err
				}),
			},
			{
				Name: "export", Usage: "print the published catalog as one document that apply takes",
				Flags: append(t.flags(), &cli.BoolFlag{Name: "json", Usage: "print JSON instead of YAML", Destination: &json}),
				Action: t.action(func(ctx context.Context, c *cli.Command) error {
					if err := noArguments(c); err != nil {
						return err
					}
					return t.export(ctx, json)
				}),
			},
		},
	}
}

// imported is the response to an import.
type imported struct {
	Revision string `json:"revision"`
	Changes  []struct {
		Kind        string   `json:"kind"`
		ID          string   `json:"id"`
		Version     int      `json:"version"`
		ChangeClass string   `json:"changeClass"`
		Differences []string `json:"differences"`
	} `json:"changes"`
	UnchangedCount int `json:"unchangedCount"`
	Warnings       []struct {
		Field       string `json:"field"`
		Description string `json:"description"`
		Reason      string `json:"reason"`
	} `json:"warnings"`
	MoreWarnings int `json:"moreWarnings"`
}

type catalogFile struct {
	Name    string `json:"name"`
	Content string `json:"content"`
}

// importFiles sends the files, and prints what that changed, or would change.
func (t *catalogTool) importFiles(ctx context.Context, paths []string, dryRun bool) (changes int, err error) {
	files, err := readFiles(paths)
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(map[string]any{"files": files, "dryRun": dryRun})
	if err != nil {
		return 0, err
	}
	if isTerminal(t.process.Stderr) {
		fmt.Fprintf(t.process.Stderr, "Sending %d files, %d KiB, to %s …\n", len(files), len(body)>>10, t.server)
	}
	resp, err := t.send(ctx, http.MethodPost, "/v1/catalog:import", body, "application/json")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var done imported
	if err := json.NewDecoder(resp.Body).Decode(&done); err != nil {
		return 0, fmt.Errorf("the server's response cannot be read: %w", err)
	}
	t.print(done, dryRun)
	return len(done.Changes), nil
}

func (t *catalogTool) print(done imported, dryRun bool) {
	for _, c := range done.Changes {
		class := ""
		if c.ChangeClass != "" {
			class = ", " + c.ChangeClass
		}
		fmt.Fprintf(t.out, "%s %s (version %d%s)\n", strings.ToLower(c.Kind), c.ID, c.Version, class)
		for _, d := range c.Differences {
			fmt.Fprintf(t.out, "    %s\n", d)
		}
	}
	for _, w := range done.Warnings {
		fmt.Fprintf(t.out, "warning: %s: %s (%s)\n", w.Field, w.Description, w.Reason)
	}
	if done.MoreWarnings > 0 {
		fmt.Fprintf(t.out, "%d more warnings\n", done.MoreWarnings)
	}
	verb := "published"
	if dryRun {
		verb = "to publish"
	}
	fmt.Fprintf(t.out, "%d %s, %d unchanged; the catalog is at revision %s\n", len(done.Changes), verb, done.UnchangedCount, cmp.Or(done.Revision, "0"))
}

func (t *catalogTool) export(ctx context.Context, asJSON bool) error {
	accept := "application/yaml"
	if asJSON {
		accept = "application/json"
	}
	resp, err := t.send(ctx, http.MethodGet, "/v1/catalog:export", nil, accept)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(t.out, resp.Body); err != nil {
		return fmt.Errorf("the document is not whole: %w", err)
	}
	return nil
}
