package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

const contentYAML = "application/yaml"

// importCatalog serves catalog:import, whose body is a list of files, or one
// document as export writes it.
func (g *Gateway) importCatalog(w http.ResponseWriter, r *http.Request) {
	req, err := readImport(r)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, cancel := g.outgoing(r.Context(), r)
	defer cancel()
	var md runtime.ServerMetadata
	resp, err := g.catalog.ImportCatalog(ctx, req, grpc.Header(&md.HeaderMD))
	if err != nil {
		g.fail(w, r, err)
		return
	}
	g.respond(w, r, md.HeaderMD, resp)
}

func readImport(r *http.Request) (*catalogv1.ImportCatalogRequest, error) {
	x := exchangeOf(r)
	body := x.body
	// What the service gets are copies: the body is not kept beside them while it reads those.
	x.body, r.Body = nil, http.NoBody
	req := &catalogv1.ImportCatalogRequest{}
	// Either kind of body may come with dryRun in the query.
	if err := x.query.populate(req); err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(body)
	switch {
	case len(text) == 0:
		return req, nil // the service says that files are missing
	case !utf8.Valid(text):
		return nil, errs.InvalidFields([]errs.Violation{*wire.CheckJSON(text)})
	case bytes.IndexByte(text, 0) >= 0:
		return nil, errs.InvalidFields([]errs.Violation{{Field: wire.BodyField, Reason: errs.ReasonNULCharacter, Description: "must not contain the character NUL"}})
	case isYAML(x.media) || x.media == "" && text[0] != '{':
		req.Files = oneFile("body.yaml", body)
		return req, nil
	}
	if v := wire.CheckJSON(text); v != nil {
		return nil, errs.InvalidFields([]errs.Violation{*v})
	}
	for name := range wire.Members(text) {
		if name != "files" {
			continue
		}
		listed := &catalogv1.ImportCatalogRequest{}
		if err := wire.Unmarshal(text, listed); err != nil {
			return nil, errs.InvalidList(wire.Diagnose(text, x.route.input))
		}
		listed.DryRun = listed.GetDryRun() || req.GetDryRun()
		return listed, nil
	}
	req.Files = oneFile("body.json", body)
	return req, nil
}

func oneFile(name string, content []byte) []*catalogv1.ImportCatalogRequest_File {
	return []*catalogv1.ImportCatalogRequest_File{{Name: name, Content: string(content)}}
}

func isYAML(media string) bool {
	return media == contentYAML || media == "text/yaml" || media == "application/x-yaml" || media == "text/x-yaml"
}

// exportCatalog serves catalog:export: the document itself, chunk by chunk.
func (g *Gateway) exportCatalog(w http.ResponseWriter, r *http.Request) {
	req := &catalogv1.ExportCatalogRequest{}
	if err := exchangeOf(r).query.populate(req); err != nil {
		g.fail(w, r, err)
		return
	}
	if req.GetFormat() == catalogv1.ExportCatalogRequest_FORMAT_UNSPECIFIED {
		req.Format = catalogv1.ExportCatalogRequest_YAML
		if prefersJSON(r.Header.Values("Accept")) {
			req.Format = catalogv1.ExportCatalogRequest_JSON
		}
	}
	ctx, cancel := context.WithCancel(r.Context()) // ends the stream
	defer cancel()
	ctx, release := g.outgoing(ctx, r)
	defer release()
	stream, err := g.catalog.ExportCatalog(ctx, req)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	md, err := stream.Header()
	if err != nil {
		g.fail(w, r, err)
		return
	}
	g.seen.note(md)
	first, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		g.fail(w, r, err)
		return
	}
	forwardHeaders(w, md)
	name := "preceptor-catalog.yaml"
	w.Header().Set("Content-Type", contentYAML)
	if req.GetFormat() == catalogv1.ExportCatalogRequest_JSON {
		name = "preceptor-catalog.json"
		w.Header().Set("Content-Type", wire.ContentType)
	}
	w.Header().Add("Vary", "Accept")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	pipe(w, first.GetChunk(), stream, err)
}

// pipe writes the chunks as they come, or all at once when the service sent no ETag,
// so that one can be computed. An error in between breaks the connection: only that
// shows the client that the document is incomplete.
func pipe(w http.ResponseWriter, chunk []byte, stream grpc.ServerStreamingClient[catalogv1.ExportCatalogResponse], err error) {
	var whole bytes.Buffer
	var to io.Writer = w
	if w.Header().Get("ETag") == "" {
		to = &whole
	}
	for err == nil {
		if _, werr := to.Write(chunk); werr != nil {
			return // the reader has gone
		}
		var next *catalogv1.ExportCatalogResponse
		next, err = stream.Recv()
		chunk = next.GetChunk()
	}
	if !errors.Is(err, io.EOF) {
		panic(http.ErrAbortHandler)
	}
	if to == &whole {
		w.Header().Set("Content-Length", strconv.Itoa(whole.Len()))
		_, _ = w.Write(whole.Bytes())
	}
}

func isYAMLRange(media string) bool { return isYAML(media) || media == "*/*" || media == "text/*" }

// prefersJSON reports whether Accept headers name JSON, with a quality at least that of YAML.
func prefersJSON(accept []string) bool {
	json := quality(accept, func(media string) bool { return media == wire.ContentType })
	return json > 0 && json >= quality(accept, isYAMLRange)
}

// quality returns the highest quality that Accept headers give to a media range that is wanted.
func quality(accept []string, wanted func(media string) bool) float64 {
	best := 0.0
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(item)
		if err != nil || !wanted(media) {
			continue
		}
		q := 1.0
		if given, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(given, 64); err != nil {
				continue
			}
		}
		best = max(best, q)
	}
	return best
}
