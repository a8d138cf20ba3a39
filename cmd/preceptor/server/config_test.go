package server

import (
	"strings"
	"testing"
)

func TestOriginsAreCheckedAtTheStart(t *testing.T) {
	for origin, want := range map[string]string{
		"https://app.example.org": "", "*": "",
		"example.org":           `--cors-origin: "example.org" has no scheme (want https://example.org)`,
		"https://a.example/app": `--cors-origin: "https://a.example/app" is more than an origin, which has no path (want https://a.example)`,
	} {
		c := Config{Data: ".", DatabaseMaxConns: 2, CORSOrigins: []string{"https://first.example", origin}}
		got := ""
		if err := c.Check(Services()); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", origin, strings.TrimSpace(got), want)
		}
	}
}
