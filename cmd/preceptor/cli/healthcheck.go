package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
)

// maxHealthPage bounds what is printed of the page.
const maxHealthPage = 64 << 10

func (p Process) healthcheckCommand() *cli.Command {
	var url string
	return &cli.Command{
		Name:  "healthcheck",
		Usage: "print whether a running server is ready; exit code 0 when it is, else 1",
		Flags: []cli.Flag{text("", "url", "the URL to request", "http://"+server.DefaultHTTP+"/readyz", &url)},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return server.Usagef("--url %s is not a URL", url)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return fmt.Errorf("not ready: %w", err)
			}
			defer resp.Body.Close()
			page, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthPage))
			if err != nil {
				return fmt.Errorf("not ready: %w", err)
			}
			fmt.Fprintf(p.Stdout, "%s\n", page)
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("not ready: %s responded %s", url, resp.Status)
			}
			return nil
		},
	}
}
