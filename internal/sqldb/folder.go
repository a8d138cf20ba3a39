package sqldb

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/private"
)

// LockFolder claims dir for this process by an exclusive lock on dir/name.lock, until
// release is called or the process ends in whatever way. It returns FailedPrecondition
// FOLDER_LOCKED, naming the process, while another one holds it, and never waits. The file
// stays: removing it would let two processes lock two files of the same name.
func LockFolder(dir, name string) (release func() error, err error) {
	path := filepath.Join(dir, name+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, private.FileMode) //nolint:gosec // a link would have its target emptied
	if err != nil {
		return nil, errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen, "the folder %s cannot be written", dir)
	}
	if err := flock(f); err != nil {
		defer func() { _ = f.Close() }()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errs.New(errs.FailedPrecondition, errs.ReasonFolderLocked,
				"the folder %s is in use by %s (lock file %s)", dir, holder(f), path)
		}
		return nil, errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen, "the folder %s cannot be locked", dir)
	}
	_ = private.Set(f) // fails on a file of another owner, which locks as well
	if err := writePID(f); err != nil {
		_ = f.Close()
		return nil, errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseFull, "the lock file %s cannot be written", path)
	}
	return sync.OnceValue(f.Close), nil
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holder reads the process id that the other one wrote, which may not be there yet.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	pid, perr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || perr != nil {
		return "another process"
	}
	return "process " + strconv.Itoa(pid)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}
