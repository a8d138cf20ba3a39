package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// UsageError reports settings or arguments that make no sense.
type UsageError struct{ text string }

func (e UsageError) Error() string { return e.text }

// Usagef returns a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Sprintf(format, args...)} }

// listen opens an address. flag is how the operator chooses another.
func listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return lis, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is in use by another program: stop it, or choose another one with %s", addr, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("the address %s may not be used by this user: choose another one with %s", addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("the address %s does not belong to this machine: choose another one with %s", addr, flag)
	}
	return nil, Usagef("%s %s is not an address to listen on: give host:port, as 127.0.0.1:8080", flag, addr)
}

// FolderError returns what is wrong with the data folder, and what to do.
func FolderError(dir string, err error) error {
	fault, hasPath := errors.AsType[*fs.PathError](err)
	_, bySystem := errors.AsType[syscall.Errno](err)
	if !bySystem { // what is in it is at fault, and no other folder would help
		return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDataFolder, "the data folder %s cannot be used", dir)
	}
	why := "cannot be used"
	switch {
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		why = "is not a folder, or is below something that is not"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		why = "cannot be read and written by this user"
	case errors.Is(err, syscall.EISDIR):
		why = "has a folder where a file must be"
	case errors.Is(err, syscall.ENOSPC):
		why = "is on a disk that is full"
	case hasPath && fault.Op == "mkdir":
		why = "cannot be made"
	}
	return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDataFolder, "the data folder %s %s: choose another one with --data", dir, why)
}
