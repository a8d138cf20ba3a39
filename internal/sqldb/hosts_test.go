package sqldb

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestSeveralHosts reads urls of one server and of several: of those, all are named, and none may take long.
func TestSeveralHosts(t *testing.T) {
	for _, tc := range []struct {
		url, hosts string
		timeout    time.Duration
	}{
		{"postgres://u:p@db1/x", "db1:5432", 5 * time.Second},
		{"postgres://u:p@db1/x?connect_timeout=9", "db1:5432", 9 * time.Second},
		{"postgres://u:p@db1:1,db2:2,db3:3/x?target_session_attrs=read-write", "db1:1, db2:2, db3:3", 2 * time.Second},
		{"postgres://u:p@db1,db2/x", "db1:5432, db2:5432", 2 * time.Second},
		{"postgres://u:p@db1:1,db2:2/x?connect_timeout=9", "db1:1, db2:2", 9 * time.Second},
	} {
		cfg, err := postgresConfig(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(hostsOf(cfg), ", "); got != tc.hosts || cfg.ConnectTimeout != tc.timeout {
			t.Errorf("%s: %s within %v, want %s within %v", tc.url, got, cfg.ConnectTimeout, tc.hosts, tc.timeout)
		}
		if err := explainConnect(errors.New("refused"), cfg); !strings.Contains(err.Error(), tc.hosts) {
			t.Errorf("%s: %v", tc.url, err)
		}
	}
	if _, err := postgresConfig("postgres://u:p@db1:1,db2/x"); err == nil || !strings.Contains(err.Error(), "a port for each of several hosts or for none") {
		t.Errorf("with a port for one of two hosts: %v", err)
	}
}
