package server

import (
	"cmp"
	"net/netip"
	"net/url"
	"time"

	"github.com/preceptor-dev/preceptor/gateway"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/logs"
)

// DefaultHTTP is where the REST API is, unless a flag says otherwise: on this machine only.
const DefaultHTTP = "127.0.0.1:8080"

// SplitDrainDelay is the drain delay of one service by itself, unless a flag says otherwise: about
// what an orchestrator takes to stop sending it requests.
const SplitDrainDelay = 5 * time.Second

// Config holds every setting of `preceptor serve`. Each has a flag and a variable.
type Config struct {
	// Only is the one service to run; "" for all of them in this process.
	Only string

	Data      string
	LogLevel  string
	LogFormat string
	// LogCallers is how callers are named in the log ("" for logs.ByID), LogKey what hashes them ("" for the key of the data
	// folder), and LogSample which share of the lines about successful requests is written, 0 (not set) and 1 for all.
	LogCallers string
	LogKey     string
	LogSample  float64

	MetricsAddr  string
	OTLPEndpoint string
	// TraceSample is which share of the traces that begin here is recorded, up to 1.
	TraceSample float64

	HTTP        string
	CORSOrigins []string
	GRPC        string
	DrainDelay  time.Duration
	Reflection  bool
	RateLimit   float64
	RateBurst   int
	// MaxStreams is 0 for as many as there is memory for.
	MaxStreams int
	// TrustedProxies are networks and addresses, as gateway.ParseProxy reads them.
	TrustedProxies []string
	// ContinueTraces has their requests continue the traces that they name.
	ContinueTraces bool

	// DatabaseURL may hold a password: it is neither logged nor shown.
	DatabaseURL      string
	DatabaseMaxConns int

	Listen     string
	HealthAddr string
	// Addrs are where the services are, by name.
	Addrs    map[string]string
	TLSCert  string
	TLSKey   string
	TLSCA    string
	RedisURL string

	Starter        bool
	LocalIssuer    bool
	OIDCIssuer     string
	OIDCAudience   string
	OIDCRolesClaim string
}

// Check refuses settings that make no sense, before anything is waited for.
func (c *Config) Check(services Table) error {
	switch {
	case c.OIDCIssuer != "" && c.OIDCAudience == "":
		return Usagef("--oidc-issuer needs --oidc-audience: else tokens made for other programs would be accepted")
	case (c.TLSCert == "") != (c.TLSKey == "") || (c.TLSCert == "") != (c.TLSCA == ""):
		return Usagef("--tls-cert, --tls-key and --tls-ca go together")
	case c.OIDCIssuer != "" && !isWebURL(c.OIDCIssuer):
		return Usagef("--oidc-issuer is not a URL, as https://id.example.org")
	case c.DatabaseMaxConns < 2:
		return Usagef("--database-max-conns must be at least 2")
	case c.Data == "":
		return Usagef("--data must name a folder")
	case c.RateLimit < 0 || c.RateLimit > 0 && c.RateBurst < 1:
		return Usagef("--rate-limit must not be negative, and --rate-burst must be at least 1")
	case c.MaxStreams < 0:
		return Usagef("--max-streams must not be negative")
	case c.DrainDelay < 0:
		return Usagef("--drain-delay must not be negative")
	}
	if err := c.checkLogs(); err != nil {
		return err
	}
	for _, origin := range c.CORSOrigins {
		if err := gateway.CheckOrigin(origin); err != nil {
			return Usagef("--cors-origin: %s", err)
		}
	}
	if _, err := c.trustedProxies(); err != nil {
		return err
	}
	for _, s := range services {
		if c.Only != "" && c.Only != s.Name {
			continue
		}
		for _, setting := range s.Settings {
			if setting.Check == nil {
				continue
			}
			if err := setting.Check(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkLogs is Check of what an operator sees by.
func (c *Config) checkLogs() error {
	switch {
	case c.TraceSample < 0 || c.TraceSample > 1:
		return Usagef("--trace-sample must be from 0 to 1")
	case c.ContinueTraces && len(c.TrustedProxies) == 0:
		return Usagef("--continue-traces needs --trusted-proxies, whose traces are continued")
	case c.LogSample < 0 || c.LogSample > 1:
		return Usagef("--log-sample must be above 0, and at most 1, which writes all lines")
	}
	if _, err := logs.NewCallers(cmp.Or(c.LogCallers, logs.ByID), cmp.Or(c.LogKey, logs.NewKey())); err != nil {
		return Usagef("--log-callers and --log-key: %s", err)
	}
	return nil
}

// trustedProxies are the networks of the proxies in front of the gateway.
func (c *Config) trustedProxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.TrustedProxies {
		network, err := gateway.ParseProxy(text)
		if err != nil {
			return nil, Usagef("--trusted-proxies: %s", err)
		}
		all = append(all, network)
	}
	return all, nil
}

// isWebURL reports whether a text is the URL of something on the web.
func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

// oidc are the issuers whose tokens are accepted besides the local one's.
func (c *Config) oidc() []auth.OIDCIssuer {
	if c.OIDCIssuer == "" {
		return nil
	}
	return []auth.OIDCIssuer{{URL: c.OIDCIssuer, Audience: c.OIDCAudience, RolesClaim: c.OIDCRolesClaim}}
}
