package gateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// mediaTypes returns the media types of the bodies that a route takes, the usual one first.
func (r *route) mediaTypes() []string {
	if r.rpc == catalogv1.CatalogService_ImportCatalog_FullMethodName {
		return []string{contentYAML, wire.ContentType, "text/yaml", "application/x-yaml", "text/x-yaml"}
	}
	return []string{wire.ContentType}
}

// checkMedia returns the media type of a body, "" where it does not say. It returns Invalid for a
// Content-Type or a Content-Encoding that the route does not take.
func (r *route) checkMedia(h http.Header) (media string, err error) {
	if given := h.Values("Content-Type"); len(given) == 1 && given[0] == r.mediaTypes()[0] {
		media = given[0]
	} else if strings.Join(given, "") != "" {
		var params map[string]string
		media, params, err = mime.ParseMediaType(given[0])
		if charset := params["charset"]; err != nil || len(given) > 1 || !slices.Contains(r.mediaTypes(), media) ||
			charset != "" && !strings.EqualFold(charset, "utf-8") {
			return "", errs.New(errs.Invalid, errs.ReasonUnsupportedMediaType, "this route takes a body of type %s, not %s",
				strings.Join(r.mediaTypes(), " or "), wire.Shorten(strings.ToValidUTF8(strings.Join(given, ", "), "\uFFFD")))
		}
	}
	if encoding := contentEncoding(h); encoding != "" && encoding != encodingGzip {
		return "", errs.New(errs.Invalid, errs.ReasonUnsupportedEncoding, "a body may be compressed with gzip, not with %s",
			wire.Shorten(strings.ToValidUTF8(encoding, "\uFFFD")))
	}
	return media, nil
}

const encodingGzip = "gzip"

// contentEncoding returns how a body is compressed; "" for not at all.
func contentEncoding(h http.Header) string {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(h.Values("Content-Encoding"), ", ")))
	switch encoding {
	case "identity":
		return ""
	case "x-gzip":
		return encodingGzip
	}
	return encoding
}

// unzip returns what a body of at most limit bytes was before it was compressed.
func (h *holding) unzip(body []byte, limit int64, tooLarge error) ([]byte, error) {
	rest := bytes.NewReader(body)
	from, err := gzip.NewReader(rest)
	var out []byte
	if err == nil {
		from.Multistream(false)
		out, err = h.readAll(from, -1, limit, tooLarge)
	}
	switch {
	case err == nil && rest.Len() == 0:
		return out, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errs.Wrap(err, errs.Invalid, errs.ReasonBodyIncomplete, "the compressed body ended before it was complete")
	case errs.ReasonOf(err) != "":
		return nil, err
	default:
		return nil, errs.InvalidFields([]errs.Violation{{
			Field: wire.BodyField, Reason: errs.ReasonMalformed, Description: "must be compressed with gzip, as its Content-Encoding says",
		}})
	}
}
