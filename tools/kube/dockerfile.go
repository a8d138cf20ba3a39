package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfileFaults reads a Dockerfile as BuildKit does, with its linter, and asks for what this
// image promises.
func dockerfileFaults(path string) ([]string, error) {
	text, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var f faults
	for _, w := range parsed.Warnings {
		f.addf("%s", w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		f.addf("line %d: %s: %s", line, rule, message)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return append(f, err.Error()), nil
	}
	for _, stage := range stages {
		if fault := imageFault(stage.BaseName); fault != "" && stage.BaseName != "scratch" {
			f.addf("%s", fault)
		}
	}
	last := stages[len(stages)-1]
	if last.BaseName != "scratch" {
		f.addf("the image is made from %s, and should hold the program alone", last.BaseName)
	}
	return append(f, imageFaults(last.Commands, stages[0].SourceCode, stages[0].Commands)...), nil
}

// labelFaults asks for the labels by which somebody finds the sources of an image.
func labelFaults(c *instructions.LabelCommand) []string {
	var f faults
	given := map[string]string{}
	for _, label := range c.Labels {
		given[label.Key] = label.Value
	}
	for name, want := range map[string]string{
		"title": ".", "source": "^https://", "licenses": "^Apache-2.0$",
		// Of the build, by its arguments: what is written down is wrong tomorrow.
		"version": `^\$VERSION$`, "revision": `^\$REVISION$`, "created": `^\$CREATED$`,
	} {
		if value := strings.Trim(given["org.opencontainers.image."+name], `"`); !regexp.MustCompile(want).MatchString(value) {
			f.addf("the label org.opencontainers.image.%s is %q, want %s", name, value, want)
		}
	}
	return f
}

// imageFaults checks the settings of the image, and how the program in it was built.
func imageFaults(image []instructions.Command, from string, build []instructions.Command) []string {
	var f faults
	found := map[string]bool{}
	for _, c := range image {
		found[strings.ToUpper(c.Name())] = true
		switch c := c.(type) {
		case *instructions.LabelCommand:
			f = append(f, labelFaults(c)...)
		case *instructions.UserCommand:
			if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(c.User) {
				f.addf("USER %s is not a number, or is root", c.User)
			}
		case *instructions.EntrypointCommand:
			if c.PrependShell {
				f.addf("ENTRYPOINT needs a shell, and there is none")
			}
		case *instructions.CmdCommand:
			if c.PrependShell {
				f.addf("CMD needs a shell, and there is none")
			}
		case *instructions.HealthCheckCommand:
			if len(c.Health.Test) == 0 || c.Health.Test[0] != "CMD" {
				f.addf("HEALTHCHECK needs a shell, and there is none")
			}
		}
	}
	for _, name := range []string{"USER", "ENTRYPOINT", "CMD", "HEALTHCHECK", "LABEL"} {
		if !found[name] {
			f.addf("there is no %s", name)
		}
	}
	made := false
	for _, c := range build {
		if run, ok := c.(*instructions.RunCommand); ok && strings.Contains(strings.Join(run.CmdLine, " "), "make build") {
			made = true
		}
	}
	if !made {
		f.addf("%s: the program is not built by make build", from)
	}
	return f
}
