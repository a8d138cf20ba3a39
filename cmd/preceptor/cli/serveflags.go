package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/logs"
)

// serveFlags are the settings of `preceptor serve`, with their flags.
type serveFlags struct {
	server.Config

	services server.Table
}

// The groups of flags, as help shows them.
const (
	groupAlways  = "Always"
	groupEdge    = "For everything in one process, and for the gateway"
	groupOne     = "For everything in one process"
	groupService = "For one service by itself"
	groupSplit   = "For one service by itself, and for the gateway"
	groupRecords = "For everything in one process, and for one service by itself"
)

// groupOf is the group of a setting that only one service has.
func groupOf(service string, s server.Setting) string {
	if s.InOneProcess {
		return "For everything in one process, and for " + service
	}
	return "For " + service + " by itself"
}

// groups are the groups that mean something for what is being run.
func (c *serveFlags) groups() []string {
	switch c.Only {
	case "":
		groups := []string{groupAlways, groupEdge, groupOne, groupRecords}
		for _, s := range c.services {
			for _, setting := range s.Settings {
				if setting.InOneProcess {
					groups = append(groups, groupOf(s.Name, setting))
				}
			}
		}
		return groups
	case server.Gateway:
		return []string{groupAlways, groupEdge, groupSplit}
	}
	groups := []string{groupAlways, groupService, groupSplit, groupRecords}
	row, _ := c.services.Find(c.Only)
	for _, setting := range row.Settings {
		groups = append(groups, groupOf(row.Name, setting))
	}
	return groups
}

// variable is the name by which the environment sets a flag.
func variable(flag string) cli.ValueSourceChain {
	return cli.EnvVars("PRECEPTOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
}

func text(group, name, usage, value string, to *string) cli.Flag {
	return &cli.StringFlag{Name: name, Category: group, Usage: usage, Value: value, Destination: to, Sources: variable(name)}
}

func (c *serveFlags) flags() []cli.Flag {
	return slices.Concat(c.processFlags(), c.operatorFlags(), c.identityFlags(), c.networkFlags(), c.serviceFlags())
}

func (c *serveFlags) processFlags() []cli.Flag {
	return []cli.Flag{
		text(groupAlways, "data", "the folder that holds the data, the keys and the certificates", "./data", &c.Data),
		&cli.DurationFlag{
			Name: "drain-delay", Category: groupAlways, Destination: &c.DrainDelay, Sources: variable("drain-delay"),
			Usage:       "how long to report that this process is not ready before the listener closes, so that load balancers notice",
			DefaultText: "5s for one service by itself and for the gateway, else 0s",
		},
		text(groupEdge, "http", "where the REST API listens", server.DefaultHTTP, &c.HTTP),
		&cli.StringSliceFlag{
			Name: "cors-origin", Category: groupEdge, Destination: &c.CORSOrigins, Sources: variable("cors-origin"),
			Usage: "a web origin whose pages may use the API, as https://learn.example.org; may be repeated, or list several with commas between",
		},
		&cli.FloatFlag{
			Name: "rate-limit", Category: groupEdge, Destination: &c.RateLimit, Sources: variable("rate-limit"),
			Usage: "how many requests a second one caller may make by REST and gRPC, or one address without a valid token, over time; no limit when not given",
		},
		&cli.IntFlag{
			Name: "rate-burst", Category: groupEdge, Value: 1000, Destination: &c.RateBurst, Sources: variable("rate-burst"),
			Usage: "how many requests one caller may make at once",
		},
		&cli.IntFlag{
			Name: "max-streams", Category: groupEdge, Destination: &c.MaxStreams, Sources: variable("max-streams"),
			Usage:       "how many streams of server-sent events may be open at once",
			DefaultText: "as many as fit into half of the memory limit; any number where there is none",
		},
		&cli.StringSliceFlag{
			Name: "trusted-proxies", Category: groupEdge, Destination: &c.TrustedProxies, Sources: variable("trusted-proxies"),
			Usage: "the networks of the proxies whose X-Forwarded-For says where a request comes from, as 10.0.0.0/8, or addresses; nobody's when not given",
		},
		&cli.BoolFlag{
			Name: "continue-traces", Category: groupEdge, Destination: &c.ContinueTraces, Sources: variable("continue-traces"),
			Usage: "continue the traces of --trusted-proxies, which must not forward the traceparent of their own clients; else every request begins a trace",
		},
		text(groupOne, "grpc", "where the gRPC API listens, without TLS; nowhere when not given", "", &c.GRPC),
		&cli.BoolFlag{
			Name: "reflection", Category: groupRecords, Destination: &c.Reflection, Sources: variable("reflection"),
			Usage: "list the RPCs to gRPC clients such as grpcurl",
		},
	}
}

// operatorFlags are what an operator sees by: logs, metrics, traces and health.
func (c *serveFlags) operatorFlags() []cli.Flag {
	return []cli.Flag{
		text(groupAlways, "log-level", "debug, info, warn or error", "info", &c.LogLevel),
		text(groupAlways, "log-format", "text for people, json for machines", "text", &c.LogFormat),
		text(groupAlways, "log-callers", "how the log names callers: id is the learner's id where it is known, and else a keyed hash of issuer and subject; "+
			"hash is that always; subject is issuer|subject, which is personal data", logs.ByID, &c.LogCallers),
		text(groupAlways, "log-key", "the key of these hashes, the same for all processes, best given by the variable; made in the data folder when not given, "+
			"or in memory by a process without one", "", &c.LogKey),
		&cli.FloatFlag{
			Name: "log-sample", Category: groupAlways, Value: 1, Destination: &c.LogSample, Sources: variable("log-sample"),
			Usage: "which share of the lines about successful requests is written, as 0.01; those about errors, refusals and what took a second are always",
		},
		text(groupAlways, "metrics-addr", "where GET /metrics is served for Prometheus; nowhere when not given", "", &c.MetricsAddr),
		text(groupAlways, "otlp-endpoint", "the collector that receives traces by OTLP/gRPC, as host:port or a URL; none when not given", "", &c.OTLPEndpoint),
		&cli.FloatFlag{
			Name: "trace-sample", Category: groupAlways, Value: 0.01, Destination: &c.TraceSample, Sources: variable("trace-sample"),
			Usage: "which share of the traces that begin in this process is recorded, from 0 to 1",
		},
		text(groupAlways, "health-addr", "where GET /readyz lists what is degraded, for operators, beside GET /healthz; nowhere when not given", "", &c.HealthAddr),
	}
}

func (c *serveFlags) identityFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{
			Name: "local-issuer", Category: groupAlways, Destination: &c.LocalIssuer, Sources: variable("local-issuer"),
			Usage: "accept the tokens of preceptor token, made with the key in the data folder", DefaultText: "true, unless there is an --oidc-issuer",
		},
		text(groupAlways, "oidc-issuer", "the URL of an OpenID Connect issuer whose tokens are accepted", "", &c.OIDCIssuer),
		text(groupAlways, "oidc-audience", "the audience that its tokens must name", "", &c.OIDCAudience),
		text(groupAlways, "oidc-roles-claim", "the claim that lists the roles, as roles or realm_access.roles", "roles", &c.OIDCRolesClaim),
	}
}

func (c *serveFlags) networkFlags() []cli.Flag {
	addrs := make([]string, len(c.services))
	for i, s := range c.services {
		addrs[i] = s.Name + " " + s.Addr()
	}
	return []cli.Flag{
		&cli.StringFlag{
			Name: "listen", Category: groupService, Destination: &c.Listen, Sources: variable("listen"),
			Usage: "where the service listens", DefaultText: strings.Join(addrs, ", "),
		},
		text(groupService, "database-url",
			"the Postgres that holds the service's records, as postgres://user:password@host:5432/database; SQLite in the data folder when not given",
			"", &c.DatabaseURL),
		&cli.IntFlag{
			Name: "database-max-conns", Category: groupService, Value: 16, Destination: &c.DatabaseMaxConns, Sources: variable("database-max-conns"),
			Usage: "how many connections to Postgres the process has at most",
		},
		text(groupSplit, "tls-cert", "the certificate, with a DNS name as preceptor-progress; made in the data folder when not given", "", &c.TLSCert),
		text(groupSplit, "tls-key", "its key", "", &c.TLSKey),
		text(groupSplit, "tls-ca", "the authority that all services trust", "", &c.TLSCA),
	}
}

// serviceFlags are those that each service has: its address, and its own settings.
func (c *serveFlags) serviceFlags() []cli.Flag {
	var flags []cli.Flag
	for _, s := range c.services {
		flags = append(flags, text(groupSplit, addrFlag(s.Name),
			"where "+s.Name+" listens: one name for all replicas, or several with commas between", s.Addr(), nil))
		for _, setting := range s.Settings {
			group := groupOf(s.Name, setting)
			switch to := setting.To(&c.Config).(type) {
			case *string:
				flags = append(flags, text(group, setting.Flag, setting.Usage, setting.Default, to))
			case *bool:
				flags = append(flags, &cli.BoolFlag{
					Name: setting.Flag, Category: group, Destination: to, Sources: variable(setting.Flag),
					Usage: setting.Usage, Value: setting.Default == "true", DefaultText: setting.Default,
				})
			}
		}
	}
	return flags
}

func addrFlag(service string) string { return service + "-addr" }

// complete sets what follows from the arguments, and checks all.
func (c *serveFlags) complete(cmd *cli.Command, args []string) error {
	if cmd.Args().Len() > 1 {
		return server.Usagef("serve takes one service at most, not %q", strings.Join(cmd.Args().Slice(), " "))
	}
	c.Only = cmd.Args().First()
	row, known := c.services.Find(c.Only)
	if !known && c.Only != "" && c.Only != server.Gateway {
		return server.Usagef("unknown service %q (want %s)", c.Only, server.List(append(c.services.Names(), server.Gateway), "or"))
	}
	if c.Listen == "" && known {
		c.Listen = row.Addr()
	}
	c.Addrs = map[string]string{}
	for _, s := range c.services {
		c.Addrs[s.Name] = cmd.String(addrFlag(s.Name))
	}
	if err := c.refuseMeaningless(cmd, args); err != nil {
		return err
	}
	if c.Only != "" && !cmd.IsSet("drain-delay") {
		c.DrainDelay = server.SplitDrainDelay
	}
	if c.LogSample == 0 { // which a Config that says nothing has
		c.LogSample = -1
	}
	if !cmd.IsSet("local-issuer") {
		c.LocalIssuer = c.OIDCIssuer == ""
	}
	return c.Check(c.services)
}

// refuseMeaningless refuses a flag that was typed and would do nothing. A variable
// may be set for all processes, so it is not refused.
func (c *serveFlags) refuseMeaningless(cmd *cli.Command, args []string) error {
	meant := c.groups()
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
