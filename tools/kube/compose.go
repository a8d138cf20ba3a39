package main

import (
	"bufio"
	"context"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// composed is the compose file, as Docker Compose would run it.
type composed struct{ project *types.Project }

// loadCompose loads the compose file of a folder, with a value for every variable that its example
// of settings leaves empty, and finds what it should not contain.
func loadCompose(ctx context.Context, folder string) (*composed, []string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, nil, err
	}
	env, err := exampleSettings(filepath.Join(folder, ".env.example"))
	if err != nil {
		return nil, nil, err
	}
	project, err := loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir:  folder,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(folder, "compose.yaml")}},
		Environment: env,
	}, func(o *loader.Options) { o.Profiles = []string{"*"} })
	if err != nil {
		return nil, []string{err.Error()}, nil //nolint:nilerr // an invalid compose file is a fault to report
	}
	c := &composed{project}
	unscraped, err := c.unscraped(filepath.Join(folder, "prometheus", "compose.yaml"))
	return c, append(c.faults(), unscraped...), err
}

// exampleSettings reads NAME=value lines.
func exampleSettings(path string) (types.Mapping, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	env := types.Mapping{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if value == "" {
			value = "filled-in"
		}
		env[name] = value
	}
	return env, lines.Err()
}

func (c *composed) faults() []string {
	var f faults
	for _, s := range c.project.Services {
		once := strings.HasPrefix(s.Restart, "on-failure")
		if fault := imageFault(s.Image); fault != "" {
			f.addf("%s: %s", s.Name, fault)
		}
		if !once && (s.HealthCheck == nil || s.HealthCheck.Disable) {
			f.addf("%s has no health check", s.Name)
		}
		unbounded(&f, s)
		if len(s.Ports) > 0 && s.Name != gateway && s.Name != "prometheus" {
			f.addf("%s listens on other machines than this one", s.Name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				f.addf("%s can be reached from other machines, without TLS", s.Name)
			}
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			f.addf("%s may gain privileges", s.Name)
		}
		if ours(s) && (!s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"})) {
			f.addf("%s may write to its root file system, or has capabilities", s.Name)
		}
		unencrypted(&f, s)
	}
	return f
}

// unbounded finds containers that may take the memory, or the disk, that the others need.
func unbounded(f *faults, s types.ServiceConfig) {
	if s.MemLimit == 0 {
		f.addf("%s may take all memory", s.Name)
	}
	if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
		f.addf("%s may fill the disk with its log", s.Name)
	}
}

// unscraped finds processes that the file's Prometheus does not ask for their metrics.
func (c *composed) unscraped(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var asked struct {
		Jobs []struct {
			Name  string `json:"job_name"`
			Lists []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	if err := yaml.Unmarshal(text, &asked); err != nil {
		return nil, err
	}
	targets := map[string]bool{}
	for _, job := range asked.Jobs {
		for _, list := range job.Lists {
			for _, target := range list.Targets {
				targets[job.Name+" "+target] = true
			}
		}
	}
	var f faults
	for _, p := range c.processes() {
		serves := slices.ContainsFunc(p.args, func(arg string) bool { return arg == "--metrics-addr=:9090" })
		if p.args[0] == "serve" && (!serves || !targets["preceptor-"+p.name+" "+p.name+":9090"]) {
			f.addf("%s: nobody asks for its metrics", p.name)
		}
	}
	return f, nil
}

// unencrypted finds variables that lead to a Postgres or a Redis without TLS.
func unencrypted(f *faults, s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if value := s.Environment[name]; value != nil && inTheClear(*value) {
			f.addf("%s: the connection of %s is not encrypted, or its server not verified", s.Name, name)
		}
	}
}

// inTheClear reports whether a url leads to a Postgres or a Redis that anybody on the way could be.
func inTheClear(value string) bool {
	u, err := url.Parse(value)
	if err != nil {
		return false // no url
	}
	return u.Scheme == "postgres" && u.Query().Get("sslmode") != "verify-full" || strings.HasPrefix(u.Scheme, "redis") && !strings.HasPrefix(u.Scheme, "rediss")
}

func ours(s types.ServiceConfig) bool { return container{Image: s.Image}.ours() }

// processes are the runs of Preceptor.
func (c *composed) processes() []process {
	if c == nil {
		return nil
	}
	var found []process
	for _, s := range c.project.Services {
		if !ours(s) {
			continue
		}
		p := process{name: s.Name, args: s.Command, env: map[string]string{}}
		for name, value := range s.Environment {
			if value != nil {
				p.env[name] = *value
			}
		}
		found = append(found, p)
	}
	return found
}
