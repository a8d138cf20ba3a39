package redis

import (
	"reflect"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

func TestRedisURLs(t *testing.T) {
	for text, want := range map[string]address{
		"redis://host":             {addrs: []string{"host:6379"}},
		"redis://host:1/3":         {addrs: []string{"host:1"}, db: 3},
		"redis://host:1?db=3":      {addrs: []string{"host:1"}, db: 3},
		"redis://:p%40ss@host:1/":  {addrs: []string{"host:1"}, password: "p@ss"},
		"redis://u:p@ss@host":      {addrs: []string{"host:6379"}, username: "u", password: "p@ss"},
		"rediss://u@[::1]:7":       {addrs: []string{"[::1]:7"}, username: "u", tls: true},
		"redis://[::1]":            {addrs: []string{"[::1]:6379"}},
		"redis+cluster://a:1,b":    {addrs: []string{"a:1", "b:6379"}, kind: isCluster},
		"rediss+cluster://u:p@a:1": {addrs: []string{"a:1"}, kind: isCluster, tls: true, username: "u", password: "p"},
		"redis+sentinel://u:p@a:26379,b:2/main?db=2": {
			addrs: []string{"a:26379", "b:2"}, kind: isSentinel, master: "main", db: 2, username: "u", password: "p",
		},
		"redis+sentinel://a/main?sentinel-user=s&sentinel-password=q%26": {
			addrs: []string{"a:26379"}, kind: isSentinel, master: "main", sentinelUsername: "s", sentinelPassword: "q&",
		},
	} {
		got, err := parseURL(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestBadRedisURLs(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "none of the forms",
		"redis:host":                           "none of the forms",
		"http://u:secret@host":                 "none of the forms",
		"redis+tcp://u:secret@host":            "none of the forms",
		"redis://u:secret@":                    "give host:port",
		"redis://u:secret@a:1,b:2":             "several hosts",
		"redis://u:secret@host:x":              "the port",
		"redis://u:secret@host:70000":          "the port",
		"redis://u:secret@::1":                 "give host:port",
		"redis://u:secret@host:1/x":            "the database",
		"redis://u:secret@host:1/-1":           "the database",
		"redis://u:secret@host:1?timeout=5":    `the parameter "timeout"`,
		"redis://u:%zzsecret@host:1":           "not properly escaped",
		"redis://u:secret?more@host:1":         "not properly escaped",
		"redis+cluster://u:secret@a:1,b:2/0":   "no numbered databases",
		"redis+cluster://u:secret@a:1?db=0":    `the parameter "db"`,
		"redis+cluster://u:secret@a:1,,b:2":    "give host:port",
		"redis+sentinel://u:secret@a:1":        "names no master",
		"redis+sentinel://u:secret@a:1/m/x":    "master's name",
		"redis+sentinel://u:secret@a:1/m?db=x": "the database",
	} {
		_, err := parseURL(text)
		switch {
		case errs.ReasonOf(err) != "REDIS_URL_INVALID" || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v; want %q", text, err, want)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("the error holds the password: %v", err)
		}
	}
}

func TestShownRedisURLsHoldNoSecret(t *testing.T) {
	for text, want := range map[string]string{
		"redis://u:secret@host:1/3":                            "redis://host:1/3",
		"rediss+cluster://u:secret@a:1,b:2":                    "rediss+cluster://a:1,b:2",
		"redis+sentinel://u:secret@a:1/m?sentinel-password=s2": "redis+sentinel://a:1/m",
	} {
		u, err := parseURL(text)
		if err != nil || u.String() != want {
			t.Errorf("%s: %s, %v", text, u, err)
		}
	}
}
