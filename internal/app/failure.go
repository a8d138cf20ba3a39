package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// exitError ends the program with a code and without a word.
type exitError int

func (c exitError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError says what is wrong with the arguments.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// explain is an error as one line for the person at the terminal.
func explain(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

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
		return nil, fmt.Errorf("the address %s is none of this machine's: choose another one with %s", addr, flag)
	}
	return nil, usagef("%s %s is no address to listen on: give host:port, as 127.0.0.1:8080", flag, addr)
}

// folderFault says what is wrong with the data folder, and what to do.
func folderFault(dir string, err error) error {
	why := "cannot be made"
	switch {
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		why = "is no folder, or lies below something that is none"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		why = "cannot be written by this user"
	case errors.Is(err, syscall.ENOSPC):
		why = "lies on a disk that is full"
	}
	return errs.Wrap(err, errs.FailedPrecondition, "DATA_FOLDER", "the data folder %s %s: choose another one with --data", dir, why)
}
