package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// tool runs a script of tools/, or another program, and returns what it prints.
func tool(t *testing.T, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func works(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	out, err := tool(t, dir, env, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// newKey makes a key that is thrown away, and the file that says that it may sign.
func newKey(t *testing.T) (key, signers string) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed (Debian: openssh-client)")
	}
	key = filepath.Join(t.TempDir(), "key")
	works(t, ".", nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	public, err := os.ReadFile(key + ".pub")
	must(t, err)
	signers = key + ".signers"
	must(t, os.WriteFile(signers, append([]byte("releases "), public...), 0o600))
	return key, signers
}

// releaseFolder returns a folder with a release of one archive, whose program prints its version, and with its sums.
func releaseFolder(t *testing.T, version string) string {
	t.Helper()
	folder := t.TempDir()
	name := fmt.Sprintf("preceptor_%s_%s_%s", version, runtime.GOOS, runtime.GOARCH)
	program := []byte("#!/bin/sh\necho " + version + "\n")
	archive := filepath.Join(folder, name+".tar.gz")
	must(t, writeArchive(archive, name, aTime, []file{{name: "preceptor", content: program, mode: 0o755}}))
	content, err := os.ReadFile(archive)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, sumsName), fmt.Appendf(nil, "%x  %s.tar.gz\n", sha256.Sum256(content), name), 0o600))
	return folder
}

func TestSigning(t *testing.T) {
	key, signers := newKey(t)
	_, strangers := newKey(t)
	folder := releaseFolder(t, "v1.2.3")
	if out, err := tool(t, ".", nil, "../release-sign.sh", folder, ""); err == nil || !strings.Contains(out, "KEY=") {
		t.Errorf("without a key: %v %s", err, out)
	}
	out := works(t, ".", nil, "../release-sign.sh", folder, key)
	if text, err := os.ReadFile(signers); err != nil || !strings.Contains(out, strings.Join(strings.Fields(string(text))[:3], " ")) {
		t.Errorf("%v, it prints no line for its readers: %s", err, out)
	}
	// As docs/release.md has it.
	verify := func(signers string) error {
		_, err := tool(t, folder, nil, "sh", "-c", "ssh-keygen -Y verify -f "+signers+" -I releases -n preceptor-release -s SHA256SUMS.sig < SHA256SUMS")
		return err
	}
	if err := verify(signers); err != nil {
		t.Error(err)
	}
	if verify(strangers) == nil {
		t.Error("the signature is anybody's")
	}
	sums := filepath.Join(folder, sumsName)
	text, err := os.ReadFile(sums)
	must(t, err)
	must(t, os.WriteFile(sums, append(text, "0  more\n"...), 0o600))
	if verify(signers) == nil {
		t.Error("another list has the same signature")
	}
	if out, err := tool(t, ".", nil, "../release-sign.sh", folder, key); err == nil {
		t.Errorf("a list that is wrong is signed: %s", out)
	}
}

// TestPrevious finds the program of the release before, and takes no other for it.
func TestPrevious(t *testing.T) {
	script, err := filepath.Abs("../previous.sh")
	must(t, err)
	root := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		works(t, root, nil, append([]string{"git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	}
	find := func(env []string, folder ...string) (string, error) {
		t.Helper()
		return tool(t, ".", append([]string{"ROOT=" + root}, env...), append([]string{script}, folder...)...)
	}
	git("init", "--quiet")
	must(t, os.WriteFile(filepath.Join(root, "Makefile"), []byte("build:\n\tprintf '#!/bin/sh\\necho built $(VERSION)\\n' >$(BINARY)\n\tchmod +x $(BINARY)\n"), 0o600))
	git("add", "Makefile")
	git("commit", "--quiet", "--message", "first")
	git("commit", "--quiet", "--allow-empty", "--message", "second")
	if out, err := find(nil); err != nil || !strings.Contains(out, "no release") {
		t.Errorf("before the first release: %v %s", err, out)
	}
	git("tag", "v1.2.3")
	if out, err := find(nil); err != nil || !strings.Contains(out, "no release") {
		t.Errorf("in the first release: %v %s", err, out)
	}
	git("commit", "--quiet", "--allow-empty", "--message", "third")
	if out, err := find(nil); err != nil || !strings.Contains(out, "bin/previous/preceptor is built v1.2.3") {
		t.Errorf("from its tag: %v %s", err, out)
	}
	key, signers := newKey(t)
	_, strangers := newKey(t)
	folder := releaseFolder(t, "v1.2.3")
	works(t, ".", nil, "../release-sign.sh", folder, key)
	if out, err := find([]string{"SIGNERS=" + signers}, folder); err != nil || !strings.Contains(out, "bin/previous/preceptor is v1.2.3") {
		t.Errorf("from its files: %v %s", err, out)
	}
	if out, err := find([]string{"SIGNERS=" + strangers}, folder); err == nil {
		t.Errorf("signed by somebody else: %s", out)
	}
	if out, err := find(nil, releaseFolder(t, "v1.2.4")); err == nil || !strings.Contains(out, "preceptor_v1.2.3_") {
		t.Errorf("from the files of another release: %v %s", err, out)
	}
	archives, err := filepath.Glob(filepath.Join(folder, "*.tar.gz"))
	must(t, err)
	must(t, os.WriteFile(archives[0], []byte("another"), 0o600))
	if out, err := find(nil, folder); err == nil {
		t.Errorf("from an archive that was changed: %s", out)
	}
	if _, err := os.Stat(filepath.Join(root, "bin/previous/preceptor")); err == nil {
		t.Error("what was found before is still there")
	}
}

// TestImageArguments reads what make image gives to the container engine.
func TestImageArguments(t *testing.T) {
	args := works(t, "../..", nil, "make", "--no-print-directory", "--silent", "image", "CONTAINER=echo", "VERSION=v1.2.3+x")
	want := regexp.MustCompile(`^build --build-arg VERSION=v1\.2\.3\+x --build-arg REVISION=[0-9a-f]{40} ` +
		`--build-arg CREATED=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ --tag preceptor:v1\.2\.3_x \.\n$`)
	if !want.MatchString(args) {
		t.Errorf("%q", args)
	}
	again := works(t, "../..", []string{"TZ=Asia/Kathmandu"}, "make", "--no-print-directory", "--silent", "image", "CONTAINER=echo", "VERSION=v1.2.3+x")
	if !bytes.Equal([]byte(again), []byte(args)) {
		t.Errorf("in another time zone %q", again)
	}
}
