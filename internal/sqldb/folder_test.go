package sqldb_test

import (
	"bufio"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

func TestLockFolder(t *testing.T) {
	dir := t.TempDir()
	release, err := sqldb.LockFolder(dir, "preceptor")
	if err != nil {
		t.Fatal(err)
	}
	_, err = sqldb.LockFolder(dir, "preceptor")
	wantKind(t, err, errs.FailedPrecondition, errs.ReasonFolderLocked)
	for _, want := range []string{dir, fmt.Sprintf("process %d", os.Getpid())} {
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	other, err := sqldb.LockFolder(dir, "other")
	if err != nil {
		t.Errorf("another name is another lock: %v", err)
	} else if err := other(); err != nil {
		t.Error(err)
	}
	for range 2 { // Releasing twice does no harm.
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	again, err := sqldb.LockFolder(dir, "preceptor")
	if err != nil {
		t.Fatal(err)
	}
	_ = release()
	if _, err := sqldb.LockFolder(dir, "preceptor"); err == nil {
		t.Error("an old release freed the lock of its present owner")
	}
	_ = again()
	_, err = sqldb.LockFolder(filepath.Join(dir, "missing"), "preceptor")
	wantKind(t, err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen)
}

// Where others may write to the folder, a link instead of the lock must not have its target emptied.
func TestLockFolderFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("all of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(dir, "x.lock")); err != nil {
		t.Fatal(err)
	}
	_, err := sqldb.LockFolder(dir, "x")
	wantKind(t, err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen)
	if text, err := os.ReadFile(precious); err != nil || string(text) != "all of it" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestLockFolderEndsWithItsProcess runs this binary as a process that takes the lock and is killed.
func TestLockFolderEndsWithItsProcess(t *testing.T) {
	if dir := os.Getenv("SQLDB_LOCK_CHILD"); dir != "" {
		if _, err := sqldb.LockFolder(dir, "x"); err != nil {
			t.Fatal(err)
		}
		fmt.Println("locked")
		time.Sleep(time.Minute)
		return
	}
	dir := t.TempDir()
	child := osexec.Command(os.Args[0], "-test.run=^TestLockFolderEndsWithItsProcess$")
	child.Env = append(os.Environ(), "SQLDB_LOCK_CHILD="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the child printed %q, %v", line, err)
	}
	_, err = sqldb.LockFolder(dir, "x")
	wantKind(t, err, errs.FailedPrecondition, errs.ReasonFolderLocked)
	if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("process %d", child.Process.Pid)) {
		t.Errorf("%q does not name the child, %d", err, child.Process.Pid)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	release, err := sqldb.LockFolder(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	_ = release()
}
