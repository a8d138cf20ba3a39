package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestRolesOfTheStore has the same roles with the same rights as deploy/postgres/roles.sh makes, by its very statements.
func TestRolesOfTheStore(t *testing.T) {
	script, err := os.ReadFile("../../deploy/postgres/roles.sh")
	if err != nil {
		t.Fatal(err)
	}
	text, err := render(folder("../..", store))
	if err != nil {
		t.Fatal(err)
	}
	all, err := documents(text)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d document) bool { return d.Kind == "Cluster" })
	var cluster struct {
		Spec struct {
			Bootstrap struct {
				InitDB struct {
					Database string   `json:"database"`
					After    []string `json:"postInitApplicationSQL"`
				} `json:"initdb"`
			} `json:"bootstrap"`
			Managed struct {
				Roles []struct {
					Name           string `json:"name"`
					PasswordSecret named  `json:"passwordSecret"`
				} `json:"roles"`
			} `json:"managed"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(all[i].text, &cluster); err != nil {
		t.Fatal(err)
	}
	want := rolesScript(string(script), cluster.Spec.Bootstrap.InitDB.Database, profile, catalog, progress)
	if got := cluster.Spec.Bootstrap.InitDB.After; !slices.Equal(got, want) || len(want) != 7 {
		t.Errorf("the roles are made by\n%s\nand by roles.sh with\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	given, err := printedSecrets(t.Context(), folder("../..", store))
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, role := range cluster.Spec.Managed.Roles {
		named = append(named, role.Name)
		if keys := given[role.PasswordSecret.Name]; !slices.Contains(keys, "username") || !slices.Contains(keys, "password") {
			t.Errorf("secrets.sh prints no password of %s", role.Name)
		}
	}
	if !slices.Equal(named, []string{profile, catalog, progress}) {
		t.Errorf("passwords are set of %q", named)
	}
}

// rolesScript are the statements that roles.sh runs for a role in a database, and those before all.
func rolesScript(script, database string, roles ...string) []string {
	var before, each []string
	for line := range strings.Lines(script) {
		statement, isOne := strings.CutSuffix(strings.TrimSpace(line), ";")
		if !isOne || !strings.HasPrefix(line, "\t") {
			continue
		}
		statement, _, _ = strings.Cut(strings.ReplaceAll(statement, `:"db"`, `"`+database+`"`), " PASSWORD ")
		if strings.Contains(statement, `:"role"`) {
			each = append(each, statement)
		} else {
			before = append(before, statement)
		}
	}
	for _, statement := range each {
		for _, role := range roles {
			before = append(before, strings.ReplaceAll(statement, `:"role"`, `"`+role+`"`))
		}
	}
	return before
}

// TestStoreFits holds the store to what the services of production may use: its connections, and what its secrets.sh
// prints for them.
func TestStoreFits(t *testing.T) {
	c := apart(t, rendered(t, store, "kind", "kind"))
	most, err := strconv.Atoi(c.of("Cluster")[0].Spec.Postgresql.Parameters["max_connections"])
	if err != nil {
		t.Fatal(err)
	}
	services := apart(t, rendered(t, production, "kind", "kind"))
	said := services.of("Namespace")[0].Metadata.Annotations[connectionsAnnotation+"main"]
	if wanted, err := strconv.Atoi(said); err != nil || wanted+20 > most {
		t.Errorf("Postgres takes %d connections, and the services are told of %s; 20 are for others", most, said)
	}
	given, err := printedSecrets(t.Context(), folder("../..", store))
	if err != nil {
		t.Fatal(err)
	}
	given["preceptor-progress-redis"] = []string{"url"} // which is not Postgres'
	for _, overlay := range []string{production, production + "/migrate", small} {
		if found := missingSecrets(apart(t, rendered(t, overlay, "kind", "kind")), given); len(found) > 0 {
			t.Errorf("%s: %q", overlay, found)
		}
	}
}

// TestURLsOfTheStore verify the server's certificate by a file that is mounted, under a name that it has.
func TestURLsOfTheStore(t *testing.T) {
	printed, err := secretsScript(t.Context(), folder("../..", store))
	if err != nil {
		t.Fatal(err)
	}
	var server manifest
	for _, m := range apart(t, rendered(t, store, "kind", "kind")).of("Certificate") {
		if m.Spec.SecretName == "main-server" {
			server = m
		}
	}
	const host, verified = "main-rw.preceptor-data", "?sslmode=verify-full&sslrootcert=/database/ca.crt"
	if n := strings.Count(string(printed), "@"+host+":5432/preceptor"+verified); n != 6 {
		t.Errorf("%d URLs verify the server, of 6", n)
	}
	if !slices.Contains(server.Spec.DNSNames, host) {
		t.Errorf("the certificate is for %q", server.Spec.DNSNames)
	}
	for _, overlay := range []string{production, production + "/migrate"} {
		for _, m := range apart(t, rendered(t, overlay, "kind", "kind")).workloads() {
			mounted := slices.ContainsFunc(m.pod().Volumes, func(v volume) bool { return v.Secret != nil && v.Secret.SecretName == "preceptor-database-ca" })
			if uses := m.component() != gateway; mounted != uses {
				t.Errorf("%s: %s has the authority of Postgres: %v", overlay, m, mounted)
			}
		}
	}
}
