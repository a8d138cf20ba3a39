package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	maxBody       = 1 << 20
	maxImportBody = 16 << 20
)

// admit checks that the path and the query are valid text, and reads the body, which
// the generated handlers would read without a limit.
func admit(r *http.Request) error {
	x := exchangeOf(r)
	if violations := badText(x, r.URL); len(violations) > 0 {
		return errs.InvalidFields(violations)
	}
	if x.route.body == "" {
		r.Body = http.NoBody
		return nil
	}
	limit := int64(maxBody)
	if x.route.rpc == catalogv1.CatalogService_ImportCatalog_FullMethodName {
		limit = maxImportBody
	}
	body, err := readBody(r, limit)
	if err != nil {
		return err
	}
	x.body = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// readBody reads the whole body, whether or not its length is known.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	tooLarge := errs.New(errs.Invalid, errs.ReasonBodyTooLarge, "the body is larger than the %d bytes that this route takes", limit)
	if r.ContentLength > limit {
		if r.Header.Get("Expect") == "" {
			// Read on for a while: a client that is still sending when the connection
			// closes does not see the response.
			_, _ = io.CopyN(io.Discard, r.Body, limit)
		}
		return nil, tooLarge
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(nil, r.Body, limit)); err != nil {
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return nil, tooLarge
		}
		return nil, errs.Wrap(err, errs.Invalid, errs.ReasonBodyIncomplete, "the body ended before it was complete")
	}
	return buf.Bytes(), nil
}

// badText returns what in the path and the query no proto string can hold.
func badText(x *exchange, u *url.URL) []errs.Violation {
	var found []errs.Violation
	check := func(field, text string) {
		switch {
		case !utf8.ValidString(text):
			found = append(found, errs.Violation{Field: field, Reason: errs.ReasonInvalidUTF8, Description: "is not valid UTF-8"})
		case strings.IndexByte(text, 0) >= 0:
			found = append(found, errs.Violation{Field: field, Reason: errs.ReasonNULCharacter, Description: "must not hold a NUL character"})
		}
	}
	if strings.Contains(u.EscapedPath(), "%") {
		for name, value := range x.params {
			check(jsonName(x.route, name), value)
		}
	}
	if strings.ContainsFunc(u.RawQuery, func(c rune) bool { return c == '%' || c >= utf8.RuneSelf }) {
		for name, values := range u.Query() {
			check("query", name)
			for _, value := range values {
				check(jsonName(x.route, strings.ToValidUTF8(name, "")), value)
			}
		}
	}
	slices.SortFunc(found, func(a, b errs.Violation) int { return strings.Compare(a.Field, b.Field) })
	return found
}

// jsonName returns a parameter's name in the API.
func jsonName(r *route, name string) string {
	if fd := wire.FieldByName(r.input, name); fd != nil {
		return fd.JSONName()
	}
	return wire.Shorten(name)
}

// noRoute returns the error of a path, or a method, that does not exist.
func noRoute(r *http.Request, allow []string) error {
	if len(allow) > 0 {
		return methodError{allow}
	}
	return errs.New(errs.NotFound, errs.ReasonRouteNotFound, "nothing is served at %s", wire.Shorten(r.URL.Path))
}

// methodError is an error that lists the methods of a path.
type methodError struct{ allow []string }

func (e methodError) Error() string {
	return fmt.Sprintf("this path takes only %s", strings.Join(e.allow, ", "))
}
