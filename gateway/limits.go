package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
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
	if err := g.readBody(r); err != nil {
		return err
	}
	found := x.checkPath()
	asked, bad := x.route.readQuery(r.URL.RawQuery)
	x.query = asked
	found = append(found, bad...)
	found = append(found, x.checkHeaders(r)...)
	found = append(found, x.takeTimeout(r.Header)...)
	_, own := g.own[x.route.rpc]
	if !own {
		found = append(found, x.checkMembers()...)
	}
	if len(found) == 0 {
		return nil
	}
	var all errs.List
	all.Add(found...)
	if !own {
		bad := x.unreadableBody()
		for _, v := range bad.Named {
			if !slices.ContainsFunc(found, func(f errs.Violation) bool { return f.Field == v.Field }) {
				all.Add(v)
			}
		}
		all.More += bad.More
	}
	return errs.InvalidList(all)
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

// checkHeaders refuses preconditions that a request does not have, since it would be made whatever the
// resource is, and values that the mux does not pass on.
func (x *exchange) checkHeaders(r *http.Request) []errs.Violation {
	var found errs.Violations
	writes := r.Method != http.MethodGet
	for _, name := range []string{"If-Match", "If-None-Match", "If-Unmodified-Since"} {
		values, has := r.Header[name]
		takes := name == "If-Match" && writes && x.route.input.Fields().ByName("etag") != nil || name == "If-None-Match" && !writes
		switch {
		case !has || takes && name == "If-None-Match":
		case !takes:
			found.Addf(name, errs.ReasonUnknownField, "is not taken here: this request has no such precondition")
		case slices.ContainsFunc(values, func(v string) bool { return strings.TrimSpace(v) == "" || !isVisible(v) }):
			found.Addf(name, errs.ReasonMalformed, "must be the etag of the resource")
		}
	}
	if etag, given := x.query["etag"]; given && etag[0] == "" {
		found.Addf("etag", errs.ReasonMalformed, "must be the etag of the resource")
	}
	if keys, has := r.Header["Idempotency-Key"]; has && x.route.creates {
		if len(keys) > 1 {
			found.Addf("Idempotency-Key", errs.ReasonDuplicateField, "is given more than once")
		} else if own, ok := errors.AsType[*errs.Error](idem.Validate(keys[0])); ok {
			found = append(found, own.Violations...)
		}
	}
	return found
}

// isVisible reports whether a header's value is of ASCII characters alone: gRPC carries no others.
func isVisible(value string) bool {
	return !strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' })
}

// readBody reads the body into the exchange, and puts it where the generated handlers read it.
func (g *Gateway) readBody(r *http.Request) error {
	x := exchangeOf(r)
	if r.ContentLength != 0 {
		body := g.paced(r)
		defer body.stop()
		if err := g.takeBody(r, body); err != nil {
			g.drain(r, body)
			return err
		}
		x.keepConnection()
	}
	r.Body = io.NopCloser(bytes.NewReader(x.body))
	r.ContentLength = int64(len(x.body))
	if x.route.body == "" {
		r.Body = http.NoBody
		r.Header.Del("Content-Type")
		return nil
	}
	r.Header.Set("Content-Type", wire.ContentType) // the mux logs one that it cannot read
	return nil
}

// takeBody reads the body, uncompressed, into the exchange.
func (g *Gateway) takeBody(r *http.Request, from io.Reader) error {
	x := exchangeOf(r)
	if x.route.body == "" {
		if n, err := io.ReadFull(from, make([]byte, 1)); n > 0 {
			return bodyNotTaken()
		} else if !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	}
	limit := x.route.maxBody()
	tooLarge := errs.New(errs.Invalid, errs.ReasonBodyTooLarge, "the body is larger than the %d bytes that this route takes", limit)
	if r.ContentLength > limit {
		return tooLarge
	}
	x.held = &holding{bodies: g.bodies, caller: x.subject()}
	body, err := x.held.readAll(from, r.ContentLength, limit, tooLarge)
	if err != nil || len(body) == 0 {
		return err
	}
	if x.media, err = x.route.checkMedia(r.Header); err != nil {
		return err
	}
	x.body = body
	if contentEncoding(r.Header) == encodingGzip {
		x.body, err = x.held.unzip(body, limit, tooLarge)
		x.held.shrink(int64(cap(body)))
	}
	return err
}

// drain reads on for a while after a body was refused: a client that is still sending when the connection
// closes does not see the response. One that waits to be asked for its body is not asked.
func (g *Gateway) drain(r *http.Request, body *pacedBody) {
	x := exchangeOf(r)
	x.held.release()
	if body.arrived > 0 || r.Header.Get("Expect") == "" {
		if _, err := io.CopyN(io.Discard, body, x.route.maxBody()); errors.Is(err, io.EOF) {
			x.keepConnection()
			return
		}
	}
	body.end()
}

// maxBody returns how many bytes a body of the route may have.
func (r *route) maxBody() int64 {
	if r.rpc == catalogv1.CatalogService_ImportCatalog_FullMethodName {
		return maxImportBody
	}
	return maxBody
}

// bodyNotTaken is the error of a body where the route takes none.
func bodyNotTaken() error {
	return errs.InvalidFields([]errs.Violation{{Field: wire.BodyField, Reason: errs.ReasonUnknownField, Description: "is not taken by this route"}})
}

// unreadableBody returns what in the body cannot be read.
func (x *exchange) unreadableBody() errs.List {
	if md := x.route.bodyType(); md != nil && len(bytes.TrimSpace(x.body)) > 0 {
		return wire.Diagnose(x.body, md)
	}
	return errs.List{}
}
