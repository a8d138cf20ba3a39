// Package errs is the one error type that domain code returns. It has a
// kind, a reason that a program can read, and a message for a person;
// internal/rpc turns it into a gRPC status at the edge.
package errs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is the class of a fault; each has one gRPC code.
type Kind int

// The kinds. Internal is the zero value: an error that is not classified shows nothing outside.
const (
	Internal Kind = iota
	Invalid
	NotFound
	AlreadyExists
	FailedPrecondition
	Aborted
	PermissionDenied
	Unauthenticated
	ResourceExhausted
	Unavailable
	DeadlineExceeded
	Canceled
	Unimplemented
)

// Violation is one fault of one field.
type Violation struct {
	// Field is the path as the REST API spells it: "units[2].moveOn".
	Field string
	// Description is what is wrong and what would be right.
	Description string
	// Reason is UPPER_SNAKE, for programs.
	Reason string
}

// Error is a classified fault.
type Error struct {
	Kind Kind
	// Reason is UPPER_SNAKE, stable, for programs: "ETAG_MISMATCH".
	Reason string
	// Message is for the caller; it never holds secrets or our insides.
	Message string
	// Violations names every bad field, not only the first; of more than MaxViolations those.
	Violations []Violation
	// RetryAfter, when positive, is how long the caller should wait.
	RetryAfter time.Duration

	cause error
}

// New makes an error of a kind, with a reason and a formatted message.
func New(kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause, which is logged and never shown to the caller.
func Wrap(cause error, kind Kind, reason, format string, args ...any) *Error {
	e := New(kind, reason, format, args...)
	e.cause = cause
	return e
}

// InvalidFields makes one Invalid error of all the violations of a request. Of more than
// MaxViolations it names the first, and says of how many.
func InvalidFields(violations []Violation) *Error {
	var list List
	list.Add(violations...)
	return InvalidList(list)
}

// InvalidList is InvalidFields of a List.
func InvalidList(list List) *Error {
	return &Error{Kind: Invalid, Reason: ReasonInvalidArgument, Message: summary(list), Violations: list.Named}
}

func summary(list List) string {
	vs := list.Named
	if len(vs) == 1 {
		return vs[0].Field + ": " + vs[0].Description
	}
	fields := make([]string, 0, 3)
	for _, v := range vs[:min(len(vs), 3)] {
		fields = append(fields, v.Field)
	}
	more := ""
	if len(vs) > 3 {
		more = ", …"
	}
	text := fmt.Sprintf("%d fields are not valid: %s%s", len(vs)+list.More, strings.Join(fields, ", "), more)
	if list.More > 0 {
		text += fmt.Sprintf(" (the first %d are named, and %d more are not)", len(vs), list.More)
	}
	return text
}

// Error gives the message with the cause, for logs.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// KindOf is the kind of the first *Error in the chain, else Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// ReasonOf is the reason of the first *Error in the chain, else "".
func ReasonOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// RefusesWrites reports whether a reason is of a database that refuses all writes, and can be read.
func RefusesWrites(reason string) bool {
	return reason == ReasonDatabaseFull || reason == ReasonDatabaseReadOnly
}

// OneLine is an error's text on one line, for a terminal or a log.
func OneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
