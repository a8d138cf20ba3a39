package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
)

// serveFlags are the settings of `preceptor serve`, with their flags.
type serveFlags struct{ server.Config }

// The groups of flags, as help shows them.
const (
	groupAlways  = "Always"
	groupEdge    = "For everything in one process, and for the gateway"
	groupOne     = "For everything in one process"
	groupService = "For one service by itself"
	groupRecords = "For progress by itself"
	groupSplit   = "For one service by itself, and for the gateway"
	groupKeeper  = "For everything in one process, and for one service by itself"
	groupCatalog = "For everything in one process, and for the catalog"
)

// groupsOf are the groups that mean something for what is being run.
func groupsOf(only string) []string {
	switch only {
	case "":
		return []string{groupAlways, groupEdge, groupOne, groupKeeper, groupCatalog}
	case server.GatewayName:
		return []string{groupAlways, groupEdge, groupSplit}
	case server.CatalogName:
		return []string{groupAlways, groupService, groupSplit, groupKeeper, groupCatalog}
	case server.ProgressName:
		return []string{groupAlways, groupService, groupRecords, groupSplit, groupKeeper}
	}
	return []string{groupAlways, groupService, groupSplit, groupKeeper}
}

// variable is the name by which the environment sets a flag.
func variable(flag string) cli.ValueSourceChain {
	return cli.EnvVars("PRECEPTOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
}

func text(group, name, usage, value string, to *string) cli.Flag {
	return &cli.StringFlag{Name: name, Category: group, Usage: usage, Value: value, Destination: to, Sources: variable(name)}
}

func (c *serveFlags) dataFlag() cli.Flag {
	return text(groupAlways, "data", "the folder that holds the data, the keys and the certificates", "./data", &c.Data)
}

func (c *serveFlags) flags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		c.dataFlag(),
		text(groupAlways, "log-level", "debug, info, warn or error", "info", &c.LogLevel),
		text(groupAlways, "log-format", "text for people, json for machines", "text", &c.LogFormat),
		text(groupAlways, "metrics-addr", "where GET /metrics is answered for Prometheus; not when not given", "", &c.MetricsAddr),
		text(groupAlways, "otlp-endpoint", "the collector that gets traces by OTLP/gRPC, as host:port or a URL; none when not given", "", &c.OTLPEndpoint),

		&cli.DurationFlag{
			Name: "drain-delay", Category: groupAlways, Destination: &c.DrainDelay, Sources: variable("drain-delay"),
			Usage:       "how long to say that this process is not ready before closing the door, so that load balancers notice",
			DefaultText: "5s for one service by itself and for the gateway, else 0s",
		},

		text(groupEdge, "http", "where the REST API listens", server.DefaultHTTP, &c.HTTP),
		&cli.StringSliceFlag{
			Name: "cors-origin", Category: groupEdge, Destination: &c.CORSOrigins, Sources: variable("cors-origin"),
			Usage: "a web origin whose pages may use the API, as https://learn.example.org; may be repeated, or hold several with commas between",
		},
		&cli.FloatFlag{
			Name: "rate-limit", Category: groupEdge, Destination: &c.RateLimit, Sources: variable("rate-limit"),
			Usage: "how many requests a second one caller may make of this gateway, over time; no limit when not given",
		},
		&cli.IntFlag{
			Name: "rate-burst", Category: groupEdge, Value: 1000, Destination: &c.RateBurst, Sources: variable("rate-burst"),
			Usage: "how many requests one caller may make at once",
		},
		text(groupOne, "grpc", "where the gRPC API listens, without TLS; not offered when not given", "", &c.GRPC),
		&cli.BoolFlag{
			Name: "reflection", Category: groupKeeper, Destination: &c.Reflection, Sources: variable("reflection"),
			Usage: "tell gRPC clients such as grpcurl which RPCs there are",
		},
	}, c.identityFlags(), c.networkFlags())
}

func (c *serveFlags) identityFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{
			Name: "starter", Category: groupCatalog, Value: true, Destination: &c.Starter, Sources: variable("starter"),
			Usage: "fill an empty catalog with the starter catalog",
		},
		&cli.BoolFlag{
			Name: "local-issuer", Category: groupKeeper, Destination: &c.LocalIssuer, Sources: variable("local-issuer"),
			Usage: "accept the tokens of preceptor token, made with the key in the data folder", DefaultText: "true, unless there is an --oidc-issuer",
		},
		text(groupKeeper, "oidc-issuer", "the URL of an OpenID Connect issuer whose tokens are accepted", "", &c.OIDCIssuer),
		text(groupKeeper, "oidc-audience", "the audience that its tokens must name", "", &c.OIDCAudience),
		text(groupKeeper, "oidc-roles-claim", "the claim that lists the roles, as roles or realm_access.roles", "roles", &c.OIDCRolesClaim),
	}
}

func (c *serveFlags) networkFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "listen", Category: groupService, Destination: &c.Listen, Sources: variable("listen"),
			Usage: "where the service listens", DefaultText: "profile 127.0.0.1:7001, catalog 127.0.0.1:7002, progress 127.0.0.1:7003",
		},
		text(groupService, "health-addr", "where GET /healthz and /readyz are answered over HTTP; not when not given", "", &c.HealthAddr),
		text(groupService, "database-url",
			"the Postgres that holds the service's records, as postgres://user:password@host:5432/database; SQLite in the data folder when not given",
			"", &c.DatabaseURL),
		&cli.IntFlag{
			Name: "database-max-conns", Category: groupService, Value: 16, Destination: &c.DatabaseMaxConns, Sources: variable("database-max-conns"),
			Usage: "how many connections to Postgres the process holds at most",
		},
		text(groupRecords, "redis-url", "the Redis that keeps answers and tells replicas of each other's writes: redis://HOST:6379/0,"+
			" redis+sentinel://HOST:26379,HOST:26379/MASTER, redis+cluster://HOST:6379,HOST:6379; in memory when not given", "", &c.RedisURL),
		text(groupSplit, "profile-addr", "where the profile service is; its replicas by one name, or with commas between", "127.0.0.1:7001", &c.ProfileAddr),
		text(groupSplit, "catalog-addr", "where the catalog service is, in the same way", "127.0.0.1:7002", &c.CatalogAddr),
		text(groupSplit, "progress-addr", "where the progress service is, in the same way", "127.0.0.1:7003", &c.ProgressAddr),
		text(groupSplit, "tls-cert", "the certificate, with a DNS name as preceptor-progress; made in the data folder when not given", "", &c.TLSCert),
		text(groupSplit, "tls-key", "its key", "", &c.TLSKey),
		text(groupSplit, "tls-ca", "the authority that all services trust", "", &c.TLSCA),
	}
}

// complete fills what follows from the arguments, and checks all.
func (c *serveFlags) complete(cmd *cli.Command, args []string) error {
	if cmd.Args().Len() > 1 {
		return server.Usagef("serve takes one service at most, not %q", strings.Join(cmd.Args().Slice(), " "))
	}
	c.Only = cmd.Args().First()
	defaults := map[string]string{"": "", server.GatewayName: "", server.ProfileName: "127.0.0.1:7001", server.CatalogName: "127.0.0.1:7002", server.ProgressName: "127.0.0.1:7003"}
	addr, known := defaults[c.Only]
	if !known {
		return server.Usagef("there is no service %q: there are profile, catalog, progress and gateway", c.Only)
	}
	if c.Listen == "" {
		c.Listen = addr
	}
	if err := c.refuseMeaningless(cmd, args); err != nil {
		return err
	}
	if c.Only != "" && !cmd.IsSet("drain-delay") {
		c.DrainDelay = server.SplitDrainDelay
	}
	if !cmd.IsSet("local-issuer") {
		c.LocalIssuer = c.OIDCIssuer == ""
	}
	return c.Check()
}

// refuseMeaningless refuses a flag that was typed and would do nothing. A variable
// may be set for all four processes, so it is not refused.
func (c *serveFlags) refuseMeaningless(cmd *cli.Command, args []string) error {
	meant := groupsOf(c.Only)
	for _, f := range cmd.Flags {
		grouped, ok := f.(cli.CategorizableFlag)
		if !ok || grouped.GetCategory() == "" || slices.Contains(meant, grouped.GetCategory()) {
			continue
		}
		typed := slices.ContainsFunc(args, func(arg string) bool {
			name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			return strings.HasPrefix(arg, "-") && slices.Contains(f.Names(), name)
		})
		if typed {
			what := "serve"
			if c.Only != "" {
				what += " " + c.Only
			}
			return server.Usagef("--%s means nothing to `preceptor %s` (see: preceptor serve --help)", f.Names()[0], what)
		}
	}
	return nil
}
