package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// encodedSuffix distinguishes the ETag of a compressed response from the plain one's. The
// compressor writes "-zstd" instead where it used that.
const encodedSuffix = "-gzip"

// conditional adds an ETag to the response of every GET, and sends 304 to a client that
// has that response already.
func conditional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &conditionalWriter{ResponseWriter: w, get: r.Method == http.MethodGet, known: r.Header.Values("If-None-Match")}
		next.ServeHTTP(c, r)
		if !c.wrote {
			c.begin(nil)
		}
	})
}

// conditionalWriter holds the header back until the first byte of the body. Its
// handlers write a whole body at once, or set an ETag themselves.
type conditionalWriter struct {
	http.ResponseWriter

	get    bool
	known  []string // If-None-Match
	status int
	wrote  bool
	drop   bool // the status has no body
}

// WriteHeader records the first status that is final.
func (c *conditionalWriter) WriteHeader(status int) {
	if c.status == 0 && status >= http.StatusOK {
		c.status = status
	}
}

// Write sends the header if it has not been sent, then b unless the status has no body.
func (c *conditionalWriter) Write(b []byte) (int, error) {
	if !c.wrote {
		c.begin(b)
	}
	if c.drop {
		return len(b), nil
	}
	return c.ResponseWriter.Write(b)
}

func (c *conditionalWriter) begin(body []byte) {
	c.wrote = true
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if c.get && c.status == http.StatusOK {
		c.tag(body)
	}
	if c.status == http.StatusNoContent || c.status == http.StatusNotModified {
		c.drop = true
		for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition"} {
			c.Header().Del(name)
		}
	}
	c.ResponseWriter.WriteHeader(c.status)
}

// tag sets the ETag, and the status 304 if the client knows it.
func (c *conditionalWriter) tag(body []byte) {
	h := c.Header()
	etag := h.Get("ETag")
	if etag == "" && h.Get("Content-Length") == strconv.Itoa(len(body)) {
		sum := sha256.Sum256(body)
		etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		h.Set("ETag", etag)
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "private, no-cache") // responses depend on the caller
	}
	if known, ok := matching(c.known, etag); ok {
		h.Set("ETag", known)
		c.status = http.StatusNotModified
	}
}

// matching finds etag among the tags of If-None-Match. It compares weakly, as RFC 9110
// says, and takes the tag of a compressed response for the plain one's.
func matching(known []string, etag string) (string, bool) {
	for _, list := range known {
		if item, found := rpc.FindEtag(list, etag); found && etag != "" {
			if item == "*" {
				return etag, true
			}
			return item, true
		}
	}
	return "", false
}
