package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// program is Preceptor, built as the Dockerfile does.
type program struct {
	dir  string
	size int64
	// commands and flags are what its help lists: "serve", "serve --listen".
	commands, flags map[string]bool
}

// process is one run of it, as a manifest or the compose file describes it.
type process struct {
	name string
	args []string
	env  map[string]string
}

// maxSize is a limit of the size of the program, above which there should be a reason.
const maxSize = 64 << 20

// buildFromContext builds the program from the files that .dockerignore leaves, and from nothing
// else, and finds what it would lack in an empty image.
func buildFromContext(ctx context.Context, root string) (_ *program, faults []string, err error) {
	dir, err := os.MkdirTemp("", "kube-context-")
	if err != nil {
		return nil, nil, err
	}
	p := &program{dir: dir, commands: map[string]bool{}, flags: map[string]bool{}}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if err := copyContext(ctx, root, dir); err != nil {
		return nil, nil, err
	}
	const version = "from-context"
	build := exec.CommandContext(ctx, "make", "build", "VERSION="+version)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("make build, with the files that .dockerignore leaves: %w\n%s", err, out)
	}
	info, err := os.Stat(p.path())
	if err != nil {
		return nil, nil, err
	}
	p.size = info.Size()
	if p.size > maxSize {
		faults = append(faults, fmt.Sprintf("the program has %d bytes, more than %d", p.size, maxSize))
	}
	static, err := isStatic(p.path())
	if err != nil {
		return nil, nil, err
	}
	if !static {
		faults = append(faults, "the program is not static: an empty image has no loader and no C library")
	}
	if out, err := p.run(ctx, nil, "version"); err != nil || !strings.Contains(out, version) {
		faults = append(faults, fmt.Sprintf("the program does not know the version that it was built with: %q, %v", out, err))
	}
	return p, faults, p.learn(ctx)
}

func (p *program) path() string { return filepath.Join(p.dir, "bin", "preceptor") }

// Close removes it.
func (p *program) Close() { _ = os.RemoveAll(p.dir) }

// copyContext copies what git knows of and .dockerignore does not ignore.
func copyContext(ctx context.Context, root, to string) error {
	text, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	defer text.Close()
	patterns, err := ignorefile.ReadAll(text)
	if err != nil {
		return err
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		return err
	}
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		skip, err := ignored.MatchesOrParentMatches(name)
		if err != nil {
			return err
		}
		if skip {
			continue
		}
		if err := copyFile(filepath.Join(root, name), filepath.Join(to, name)); err != nil && !os.IsNotExist(err) {
			return err // a file that git still lists may be gone
		}
	}
	return nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

// isStatic reports whether a program needs neither a loader nor a library.
func isStatic(path string) (bool, error) {
	f, err := elf.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	loader := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	libraries, err := f.ImportedLibraries()
	return !loader && err == nil && len(libraries) == 0, nil
}

// run runs the program with nothing in its environment but env.
func (p *program) run(ctx context.Context, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path(), args...)
	cmd.Env = append([]string{"HOME=/"}, env...)
	cmd.Dir = p.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// learn reads the program's help.
func (p *program) learn(ctx context.Context) error {
	help, err := p.run(ctx, nil, "--help")
	if err != nil {
		return fmt.Errorf("preceptor --help: %w", err)
	}
	_, list, _ := strings.Cut(help, "COMMANDS:")
	for line := range strings.SplitSeq(list, "\n") {
		if word := strings.Fields(line); len(word) > 1 && strings.HasPrefix(line, "   ") {
			p.commands[strings.Trim(word[0], ",")] = true
		}
	}
	for _, command := range []string{"serve", migrate, "healthcheck", "progress verify", "audit verify"} {
		words := strings.Fields(command)
		if !p.commands[words[0]] {
			continue
		}
		p.commands[command] = true
		help, err := p.run(ctx, nil, append(words, "--help")...)
		if err != nil {
			return fmt.Errorf("preceptor %s --help: %w", command, err)
		}
		for word := range strings.FieldsSeq(help) {
			if flag, ok := strings.CutPrefix(strings.Trim(word, "[,"), "--"); ok {
				p.flags[command+" --"+flag] = true
			}
		}
	}
	return nil
}

// knows reports whether the program has the command or the flag.
func (p *program) knows(what string) bool {
	return p.commands[what] || p.flags[what]
}

// faults checks the arguments and the variables of all processes.
func (p *program) faults(ctx context.Context, all []process) []string {
	f := make(faults, 0, len(all))
	for _, each := range all {
		f = append(f, p.check(ctx, each)...)
	}
	return f
}

// judge asks about one process by name, and then lets the program itself judge all that it has.
func (p *program) check(ctx context.Context, of process) []string {
	var f faults
	if len(of.args) == 0 || !p.knows(of.args[0]) {
		f.addf("%s: preceptor has no command for %v", of.name, of.args)
		return f
	}
	command, rest := of.args[0], of.args[1:]
	if len(rest) > 0 && p.knows(command+" "+rest[0]) {
		command, rest = command+" "+rest[0], rest[1:]
	}
	given := strings.Fields(command)
	for _, arg := range rest {
		name, _, _ := strings.Cut(arg, "=")
		switch flag := command + " " + name; {
		case !strings.HasPrefix(name, "--") || p.flags[flag]:
			given = append(given, arg)
		case !p.knows(flag):
			f.addf("%s: preceptor %s has no flag %s", of.name, command, name)
		}
	}
	var env []string
	for name, value := range of.env {
		setting, ours := strings.CutPrefix(name, "PRECEPTOR_")
		flag := command + " --" + strings.ToLower(strings.ReplaceAll(setting, "_", "-"))
		if ours && !p.knows(flag) {
			f.addf("%s: preceptor %s has no flag for the variable %s", of.name, command, name)
		}
		// What is in a Secret is not known here, and a database is not asked for.
		if ours && value != "" && p.flags[flag] && !strings.HasSuffix(name, "_URL") {
			env = append(env, name+"="+value)
		}
	}
	if command != "serve" || len(f) > 0 {
		return f
	}
	// It reads all of its settings before it opens anything; the last of them is nonsense.
	const nonsense = "--log-level=nonsense"
	out, err := p.run(ctx, env, append(given, nonsense)...)
	if err == nil || !strings.Contains(out, "nonsense") {
		f.addf("%s: preceptor %s: %s (%v)", of.name, strings.Join(given, " "), out, err)
	}
	return f
}
