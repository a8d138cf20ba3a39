package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

const (
	// issuerTimeout bounds one request to the token issuer.
	issuerTimeout = 15 * time.Second
	// maxIssuerPage is how much of the issuer's response is read.
	maxIssuerPage = 1 << 20
)

// clientCredentials are those of a command that gets its token from an OpenID Connect issuer by itself, as
// one that runs each night does: a client of the issuer, with a secret (OAuth 2.0, client credentials).
type clientCredentials struct {
	issuer, id, secretFile, scope, audience string

	// token is what the issuer gave.
	token string
}

func (c *clientCredentials) flags() []cli.Flag {
	return []cli.Flag{
		text("", "oidc-issuer", "the URL of the OpenID Connect issuer that gives the client of --oidc-client-id a token", "", &c.issuer),
		text("", "oidc-client-id", "a client of that issuer, to which it gives tokens with such a role; for --oidc-client-secret-file", "", &c.id),
		text("", "oidc-client-secret-file", "a file that holds its secret", "", &c.secretFile),
		text("", "oidc-scope", "the scope to ask the issuer for; none when not given", "", &c.scope),
		text("", "oidc-audience", "the audience to ask the issuer for, where it wants that; none when not given", "", &c.audience),
	}
}

// given reports whether the command has any. PRECEPTOR_OIDC_ISSUER alone is a server's setting.
func (c *clientCredentials) given() bool { return c.id != "" || c.secretFile != "" }

// bearer returns a token, which it gets once.
func (c *clientCredentials) bearer(ctx context.Context, now func() time.Time) (string, error) {
	if c.token != "" {
		return c.token, nil
	}
	if c.issuer == "" || c.id == "" || c.secretFile == "" {
		return "", server.Usagef("--oidc-client-id needs --oidc-issuer and --oidc-client-secret-file")
	}
	content, err := os.ReadFile(c.secretFile)
	if err != nil {
		return "", fmt.Errorf("the file of --oidc-client-secret-file cannot be read: %w", err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", fmt.Errorf("the file %s of --oidc-client-secret-file is empty", c.secretFile)
	}
	client := &http.Client{
		Timeout: issuerTimeout, Transport: auth.HTTPTransport(now),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a secret goes nowhere else
	}
	endpoint, err := c.endpoint(ctx, client)
	if err != nil {
		return "", err
	}
	c.token, err = c.ask(ctx, client, endpoint, secret)
	return c.token, err
}

// endpoint is where the issuer gives tokens.
func (c *clientCredentials) endpoint(ctx context.Context, client *http.Client) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.issuer, "/")+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return "", server.Usagef("--oidc-issuer %s is not a URL, as https://id.example.org", c.issuer)
	}
	var found struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"` //nolint:tagliatelle // as the issuer spells it
	}
	if err := c.fetch(client, req, &found); err != nil {
		return "", err
	}
	if strings.TrimSuffix(found.Issuer, "/") != strings.TrimSuffix(c.issuer, "/") {
		return "", fmt.Errorf("the issuer at %s says that it is %q", c.issuer, found.Issuer)
	}
	u, err := url.Parse(found.TokenEndpoint)
	if err != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return "", fmt.Errorf("the issuer %s gives tokens at %q: a secret is sent by https only", c.issuer, found.TokenEndpoint)
	}
	return found.TokenEndpoint, nil
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// ask gets a token.
func (c *clientCredentials) ask(ctx context.Context, client *http.Client, endpoint, secret string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range map[string]string{"scope": c.scope, "audience": c.audience} {
		if value != "" {
			form.Set(name, value)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(secret)) // as RFC 6749, 2.3.1 wants it
	var given struct {
		AccessToken string `json:"access_token"` //nolint:tagliatelle // as the issuer spells it
	}
	if err := c.fetch(client, req, &given); err != nil {
		return "", err
	}
	if given.AccessToken == "" {
		return "", fmt.Errorf("the issuer %s gives %s no access token", c.issuer, c.id)
	}
	return given.AccessToken, nil
}

// fetch makes a request of the issuer, and reads its response.
func (c *clientCredentials) fetch(client *http.Client, req *http.Request, into any) error {
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the issuer %s cannot be reached: %w", c.issuer, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuerPage))
	if err != nil {
		return fmt.Errorf("the issuer %s cannot be read: %w", c.issuer, err)
	}
	if resp.StatusCode != http.StatusOK {
		var fault struct {
			Error       string `json:"error"`
			Description string `json:"error_description"` //nolint:tagliatelle // as the issuer spells it
		}
		_ = json.Unmarshal(page, &fault)
		return fmt.Errorf("the issuer %s responded %s to %s: %s %s", c.issuer, resp.Status, req.URL.Path, fault.Error, fault.Description)
	}
	if err := json.Unmarshal(page, into); err != nil {
		return fmt.Errorf("the issuer %s responded to %s with something else than JSON", c.issuer, req.URL.Path)
	}
	return nil
}
