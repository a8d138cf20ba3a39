package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	maxBody       = 1 << 20
	maxImportBody = 16 << 20
)

// admit reads the path's parameters, the query, and the body, which the generated handlers would read
// without a limit, and returns Invalid with all that is wrong with the first two. It names what is wrong
// with the body too, then; else its reader does.
func (g *Gateway) admit(r *http.Request) error {
	x := exchangeOf(r)
	if err := x.readBody(r); err != nil {
		return err
	}
	found := x.checkPath()
	asked, bad := x.route.readQuery(r.URL.RawQuery)
	x.query = asked
	found = append(found, bad...)
	found = append(found, x.checkPrecondition(r)...)
	_, own := g.own[x.route.rpc]
	if !own {
		found = append(found, x.checkMembers()...)
	}
	if len(found) == 0 {
		return nil
	}
	if !own {
		for _, v := range x.unreadableBody() {
			if !slices.ContainsFunc(found, func(f errs.Violation) bool { return f.Field == v.Field }) {
				found = append(found, v)
			}
		}
	}
	return errs.InvalidFields(found)
}

// checkMembers refuses members of a body that is all of the request where the path sets their field: the
// mux would read them and not heed them.
func (x *exchange) checkMembers() []errs.Violation {
	if x.route.body != "*" || len(x.params) == 0 || len(x.body) == 0 || wire.CheckJSON(x.body) != nil {
		return nil
	}
	var found errs.Violations
	for name := range wire.Members(x.body) {
		if fd := wire.FieldByName(x.route.input, name); fd != nil && x.params[string(fd.Name())] != "" {
			found.Addf(fd.JSONName(), errs.ReasonUnknownField, "is in the path, not in the body")
		}
	}
	return found
}

// checkPrecondition refuses If-Match on a request that changes something and has no precondition: it would
// be made whatever the resource is.
func (x *exchange) checkPrecondition(r *http.Request) []errs.Violation {
	if r.Header.Get("If-Match") == "" || r.Method == http.MethodGet || x.route.input.Fields().ByName("etag") != nil {
		return nil
	}
	return []errs.Violation{{Field: "If-Match", Reason: errs.ReasonUnknownField, Description: "is not taken here: this request has no precondition"}}
}

// readBody reads the body into the exchange, and puts it where the generated handlers read it.
func (x *exchange) readBody(r *http.Request) error {
	if x.route.body == "" {
		r.Body = http.NoBody
		r.Header.Del("Content-Type")
		return nil
	}
	limit := int64(maxBody)
	if x.route.rpc == catalogv1.CatalogService_ImportCatalog_FullMethodName {
		limit = maxImportBody
	}
	tooLarge := errs.New(errs.Invalid, errs.ReasonBodyTooLarge, "the body is larger than the %d bytes that this route takes", limit)
	body, err := readAll(r, limit, tooLarge)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if x.media, err = x.route.checkMedia(r.Header); err != nil {
			return err
		}
		if contentEncoding(r.Header) == encodingGzip {
			if body, err = unzip(body, limit, tooLarge); err != nil {
				return err
			}
		}
	}
	x.body = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", wire.ContentType) // the mux logs one that it cannot read
	return nil
}

// readAll reads the whole body, whether or not its length is known.
func readAll(r *http.Request, limit int64, tooLarge error) ([]byte, error) {
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

// unreadableBody returns what in the body cannot be read.
func (x *exchange) unreadableBody() []errs.Violation {
	if md := x.route.bodyType(); md != nil && len(bytes.TrimSpace(x.body)) > 0 {
		return wire.Diagnose(x.body, md)
	}
	return nil
}
