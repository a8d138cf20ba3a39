package naivetest_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain has the tests go through the same few random worlds in each run where -rapid.checks does not
// say how many: a world takes a fifth of a second, and what fails is then what has changed. `make properties`
// draws others, as many as it is told.
func TestMain(m *testing.M) {
	flag.Parse()
	said := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { said[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": "30", "rapid.seed": "1"} {
		if said["rapid.checks"] || said[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
