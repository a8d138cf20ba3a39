package naivetest_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// worlds is how many random worlds a test goes through where -rapid.checks does not say: each takes a
// tenth of a second.
const worlds = "30"

func TestMain(m *testing.M) {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "rapid.checks" })
	if !said {
		if err := flag.Set("rapid.checks", worlds); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
