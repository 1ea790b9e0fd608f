package auth

import (
	"fmt"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// The reasons of an Error.
const (
	ReasonRefused = "refused" // the server does not accept the credentials
	ReasonToken   = "token"   // the token endpoint or the login did not give any
	ReasonSecret  = "secret"  // a secret is not set or cannot be used
	ReasonKeeper  = "keeper"  // a rotated token cannot be read or saved
	ReasonOrigin  = "origin"  // the request goes to somebody else
)

// Error says why a request cannot prove who asks. Its text has no secret in it.
//
// It wraps an *outbound.Error with the reason "auth", so that the polling client neither repeats the request nor hides the
// message, and its hint as a setting.HintedError.
type Error struct {
	Reason  string
	Message string    // for people
	Hint    string    // the next step; may be empty
	Status  int       // of the answer that it is about; 0: there was none
	Until   time.Time // no token is asked for before; zero: at once
	cause   error
	wait    time.Duration // that the token endpoint asked for
	lasting bool          // it will not go away by itself
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the errors that this one is as well, and its cause, whose text must not be printed.
func (e *Error) Unwrap() []error {
	wrapped := []error{
		&outbound.Error{Reason: "auth", Message: e.Message, Status: e.Status},
		&setting.HintedError{Message: e.Message, Hint: e.Hint},
	}
	if e.cause != nil {
		wrapped = append(wrapped, e.cause)
	}
	return wrapped
}

// secretError says that a secret cannot be used.
func secretError(err error) *Error {
	return &Error{Reason: ReasonSecret, Message: err.Error(), Hint: setting.Hint(err), cause: err, lasting: true}
}

func secretErrorf(hint, format string, args ...any) *Error {
	return &Error{Reason: ReasonSecret, Message: fmt.Sprintf(format, args...), Hint: hint, lasting: true}
}
