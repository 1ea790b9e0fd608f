package main

import (
	"errors"
	"net/http"

	"github.com/deltahook/deltahook/internal/admin"
)

// Exit codes. 75 and 78 are EX_TEMPFAIL and EX_CONFIG of sysexits.h.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitDifferences = 3
	exitTemporary   = 75
	exitConfig      = 78
)

// exitError ends the process with a code. A nil err prints nothing: the command has said it all.
type exitError struct {
	code int
	err  error
	hint string // the next step
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// failure ends the process because of err: temporarily when somebody else is at work, or a server does not answer yet.
func failure(err error) error {
	var passing interface{ Temporary() bool }
	if errors.As(err, &passing) && passing.Temporary() {
		return &exitError{code: exitTemporary, err: err}
	}
	if answer, ok := errors.AsType[*admin.Problem](err); ok && answer.Status == http.StatusUnauthorized {
		return failureHint(err, "run the command as the user of the daemon, who may read the token beside its store, or give it a configuration with admin.token; what that refers to, as with env:NAME, must be set for the command, too")
	}
	return &exitError{code: exitFailure, err: err}
}

func failureHint(err error, hint string) error {
	return &exitError{code: exitFailure, err: err, hint: hint}
}

func usage(message, hint string) error {
	return &exitError{code: exitUsage, err: errors.New(message), hint: hint}
}
