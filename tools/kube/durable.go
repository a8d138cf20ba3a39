package main

import "slices"

// barman is the plugin that keeps backups and the write-ahead log in a bucket.
const barman = "barman-cloud.cloudnative-pg.io"

// noPlain refuses everybody who does not speak TLS.
const noPlain = "hostnossl " + "all all all reject" //nolint:dupword // Postgres has it so

// durable finds what may lose events that were acknowledged: a commit that no standby has, a standby that takes over
// without it, a disk without a copy elsewhere; and who may read passwords on the way, or cannot connect at all.
func durable(c *cluster) []string {
	f := make(faults, 0, 1)
	if len(c.of("Cluster")) == 0 {
		f.addf("there is no Postgres")
	}
	for _, m := range c.of("Cluster") {
		s := m.Spec.Postgresql.Synchronous
		if m.Spec.Instances < 3 || s.Method != "any" || s.Number < 1 {
			f.addf("%s does not wait for any standby of two", m)
		}
		if s.DataDurability != "required" {
			f.addf("%s goes on without a standby", m)
		}
		if !s.FailoverQuorum {
			f.addf("%s may promote a standby that lacks something", m)
		}
		if fault := imageFault(m.Spec.ImageName); fault != "" {
			f.addf("%s: %s", m, fault)
		}
		if !slices.Contains(m.Spec.Postgresql.PgHBA, noPlain) {
			f.addf("%s takes connections in the clear", m)
		}
		if !c.admitted(map[string]string{"cnpg.io/cluster": m.Metadata.Name}, 5432)["preceptor"] {
			f.addf("%s: no policy lets the services in", m)
		}
		f = append(f, c.backups(m)...)
	}
	return f
}

// backups finds a Postgres without an archive of its log or without a base backup: either alone restores nothing.
func (c *cluster) backups(postgres manifest) []string {
	var f faults
	archived := false
	for _, p := range postgres.Spec.Plugins {
		archived = archived || p.Name == barman && p.IsWALArchiver && c.has("ObjectStore", p.Parameters["barmanObjectName"])
	}
	if !archived {
		f.addf("%s archives no write-ahead log", postgres)
	}
	scheduled := slices.ContainsFunc(c.of("ScheduledBackup"), func(m manifest) bool {
		return m.Spec.Cluster.Name == postgres.Metadata.Name && m.Spec.Method == "plugin" && m.Spec.PluginConfiguration.Name == barman
	})
	if !scheduled {
		f.addf("%s is not backed up", postgres)
	}
	return f
}
