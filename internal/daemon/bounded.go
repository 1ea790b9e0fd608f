package daemon

import (
	"net/http"
	"time"
)

// bodyWithin is how long the body of a request may take. There are no large ones: they are forms.
const bodyWithin = 30 * time.Second

// bounded ends requests whose body does not come: they would hold their connection for ever, and need no token for it. Once the body is
// there, the answer may take its time: net/http takes the deadline away.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin)) // each connection of a server has one
		}
		next.ServeHTTP(w, r)
	})
}
