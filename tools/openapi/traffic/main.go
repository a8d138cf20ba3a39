// Command traffic compares what went over the wire with the OpenAPI document: what test/e2e writes with
// its flag -traffic. Each response must be one that the document declares, with its headers and a body
// of its schema; each request that was accepted must be one that the document allows. It prints what
// deviates, and then exits with 1.
//
//	traffic -document gateway/openapi.json FILE
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
)

// shown is how many deviations are printed.
const shown = 50

func main() {
	document := flag.String("document", "../../gateway/openapi.json", "the OpenAPI document")
	complete := flag.Bool("complete", false, "require that every operation has succeeded at least once")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "traffic: name one file that test/e2e wrote with -traffic")
		os.Exit(2)
	}
	deviations, err := compare(os.Stdout, *document, flag.Arg(0), *complete)
	if err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(2)
	}
	if deviations > 0 {
		os.Exit(1)
	}
}

// compare prints what in the file deviates from the document, and returns how much does.
func compare(out io.Writer, document, file string, complete bool) (deviations int, err error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return 0, err
	}
	c, err := newChecker(text)
	if err != nil {
		return 0, err
	}
	in, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var x exchange
			if err := json.Unmarshal(line, &x); err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			c.check(&x)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return c.report(out, complete)
}
