package cli

import "testing"

func TestQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "''", "./data": "./data", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "~/x": "'~/x'", "ü": "'ü'",
	} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"preceptor": "preceptor", "./bin/preceptor": "./bin/preceptor", "/opt/my tools/preceptor": "'/opt/my tools/preceptor'",
		"/tmp/go-build123/b001/exe/preceptor": "go run ./cmd/preceptor",
	} {
		if got := (Process{Args: []string{name}}).command(); got != want {
			t.Errorf("started as %s, it prints %s", name, got)
		}
	}
}
