package main

import (
	"regexp"
	"slices"
	"strings"
)

// kubernetes is the document that has the URLs of databases which people copy.
const kubernetes = "docs/kubernetes.md"

// databaseAuthority is where pods of production have the authority that signs Postgres's certificate.
const databaseAuthority, databaseAuthoritySecret = "/database", "preceptor-database-ca"

// unverifiedDatabases finds containers with a database that do not have the authority by which they verify it.
func unverifiedDatabases(c *cluster) []string {
	return eachContainer(c, func(f *faults, where string, m manifest, each container) {
		needs := false
		for _, e := range each.Env {
			needs = needs || e.Name == "PRECEPTOR_DATABASE_URL"
		}
		for _, mount := range each.VolumeMounts {
			if mount.MountPath == databaseAuthority && slices.ContainsFunc(m.pod().Volumes, func(v volume) bool {
				return v.Name == mount.Name && v.Secret != nil && v.Secret.SecretName == databaseAuthoritySecret
			}) {
				return
			}
		}
		if needs {
			f.addf("%s has no %s of Secret %s to verify its database by", where, databaseAuthority, databaseAuthoritySecret)
		}
	})
}

// urlFaults finds URLs of databases in a document by which anybody on the way could be the database, or that
// look for its authority where the overlays do not put it.
func urlFaults(text string) []string {
	var f faults
	urls := regexp.MustCompile(`postgres(ql)?://[^\s'"`+"`"+`]+`).FindAllString(text, -1)
	for _, url := range urls {
		if !strings.HasSuffix(url, "?sslmode=verify-full&sslrootcert="+databaseAuthority+"/ca.crt") {
			f.addf("%s does not verify the database by %s/ca.crt", url, databaseAuthority)
		}
	}
	if len(urls) == 0 {
		f.addf("there is no URL of a database")
	}
	return f
}
