package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

const (
	// importTimeout is how long the largest import may take.
	importTimeout = 2 * time.Minute
	// toolSubject is who the catalog's commands are, when they mint their own token.
	toolSubject = "preceptor-catalog"
)

// catalogTool talks to a running server's catalog.
type catalogTool struct {
	out, err  io.Writer
	server    string
	data      string
	token     string
	tokenFile string
}

func (p Process) catalogCommand() *cli.Command {
	t := &catalogTool{out: p.Stdout, err: p.Stderr}
	var json bool
	return &cli.Command{
		Name:  "catalog",
		Usage: "write the catalog as files, and publish what changed",
		Description: "The commands talk to a running server. Their token comes from --token, --token-file or\n" +
			"PRECEPTOR_TOKEN, else they make an author's token with the key in --data.",
		Commands: []*cli.Command{
			{
				Name: "apply", Usage: "publish what is new or changed in the files, all or nothing", ArgsUsage: "FILE|FOLDER…",
				Description: "Folders are searched for .yaml, .yml and .json files. Example:\n\n   preceptor catalog apply --data ./data catalog/",
				Flags:       t.flags(),
				Action: func(ctx context.Context, c *cli.Command) error {
					_, err := t.importFiles(ctx, c.Args().Slice(), false)
					return err
				},
			},
			{
				Name: "diff", Usage: "say what apply would publish; exit code 3 when that is anything", ArgsUsage: "FILE|FOLDER…",
				Description: "Exit codes: 0 no differences, 3 differences, 1 the files are not valid or the server cannot be reached, 2 usage.",
				Flags:       t.flags(),
				Action: func(ctx context.Context, c *cli.Command) error {
					changes, err := t.importFiles(ctx, c.Args().Slice(), true)
					if err == nil && changes > 0 {
						return exitError(exitDiffers)
					}
					return err
				},
			},
			{
				Name: "export", Usage: "print the published catalog as one document that apply takes",
				Flags: append(t.flags(), &cli.BoolFlag{Name: "json", Usage: "print JSON instead of YAML", Destination: &json}),
				Action: func(ctx context.Context, c *cli.Command) error {
					if err := noArguments(c); err != nil {
						return err
					}
					return t.export(ctx, json)
				},
			},
		},
	}
}

func (t *catalogTool) flags() []cli.Flag {
	return []cli.Flag{
		text("", "server", "where the server is", "http://"+defaultHTTP, &t.server),
		text("", "data", "the server's data folder, for making a token", "./data", &t.data),
		&cli.StringFlag{Name: "token", Usage: "a token with role author or admin", Destination: &t.token, Sources: variable("token")},
		text("", "token-file", "a file that holds such a token", "", &t.tokenFile),
	}
}

// imported is what the server says of an import.
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
	if isTerminal(t.err) {
		fmt.Fprintf(t.err, "Sending %d files, %d KiB, to %s …\n", len(files), len(body)>>10, t.server)
	}
	resp, err := t.send(ctx, http.MethodPost, "/v1/catalog:import", bytes.NewReader(body), "application/json")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var done imported
	if err := json.NewDecoder(resp.Body).Decode(&done); err != nil {
		return 0, fmt.Errorf("the server's answer cannot be read: %w", err)
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

// send makes a request as an author. An answer that is no success is an error, with
// every violation on a line of its own.
func (t *catalogTool) send(ctx context.Context, method, path string, body io.Reader, accept string) (*http.Response, error) {
	base, err := url.Parse(t.server)
	if err != nil || base.Host == "" {
		return nil, usagef("--server %s is no URL, as http://%s", t.server, defaultHTTP)
	}
	token, err := t.bearer()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(t.server, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", accept)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: importTimeout}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server at %s cannot be reached (is it running? give another one with --server): %w", t.server, errors.Unwrap(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, t.refusal(resp)
}

// refusal prints what the server has against the request.
func (t *catalogTool) refusal(resp *http.Response) error {
	var problem struct {
		Detail     string `json:"detail"`
		Violations []struct {
			Field       string `json:"field"`
			Description string `json:"description"`
			Reason      string `json:"reason"`
		} `json:"violations"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&problem); err != nil || problem.Detail == "" {
		return fmt.Errorf("%s answered %s", t.server, resp.Status)
	}
	if len(problem.Violations) == 0 {
		return errors.New(problem.Detail)
	}
	for _, v := range problem.Violations {
		fmt.Fprintf(t.err, "%s: %s (%s)\n", v.Field, v.Description, v.Reason)
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
func (t *catalogTool) bearer() (string, error) {
	if t.token != "" {
		return t.token, nil
	}
	if t.tokenFile != "" {
		content, err := os.ReadFile(t.tokenFile)
		if err != nil {
			return "", fmt.Errorf("the token file cannot be read: %w", err)
		}
		return strings.TrimSpace(string(content)), nil
	}
	if _, err := os.Stat(filepath.Join(t.data, auth.LocalKeyFile)); err != nil {
		return "", fmt.Errorf("there is no token, and %s has no %s to make one with: give --token, --token-file, or the server's folder with --data",
			t.data, auth.LocalKeyFile)
	}
	return mint(t.data, toolSubject, []string{string(auth.RoleAuthor)}, "", 10*time.Minute)
}

// readFiles reads the named files, and the catalog's files below the named folders.
func readFiles(paths []string) ([]catalogFile, error) {
	if len(paths) == 0 {
		return nil, usagef("name at least one file or folder")
	}
	var names []string
	for _, path := range paths {
		found, err := below(path)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", path, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s holds no .yaml, .yml or .json file", path)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	files := make([]catalogFile, 0, len(names))
	for _, name := range slices.Compact(names) {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", name, err)
		}
		if !utf8.Valid(content) {
			return nil, fmt.Errorf("%s is not UTF-8 text", name)
		}
		files = append(files, catalogFile{Name: filepath.ToSlash(name), Content: string(content)})
	}
	return files, nil
}

// below are a file itself, or a folder's files that a catalog may be written in.
func below(path string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != path && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case name == path || slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)):
			names = append(names, filepath.Clean(name))
		}
		return nil
	})
	return names, err
}
