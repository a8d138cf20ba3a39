package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp/writer"
	"github.com/klauspost/compress/gzhttp/writer/gzkp"
	"github.com/klauspost/compress/gzhttp/writer/zstdkp"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/cache"
)

const (
	// DefaultKept is how many bytes of answers are kept where Config does not say.
	DefaultKept = 32 << 20
	// keptFor is how long an answer is kept at most: as long as a service caches one.
	keptFor = time.Hour
)

// kept is an answer as it was written, with the name by which a service is asked whether it still holds. It is
// never written without that question. It is never changed: one with another form of it takes its place.
type kept struct {
	name string // "" for one that no service would know again
	etag string // "" for none
	body []byte
	// gzip and zstd are the compressed body, nil while nobody has asked for that.
	gzip, zstd []byte
}

func (k *kept) length() string { return strconv.Itoa(len(k.body)) }

func (k *kept) size() int64 {
	return int64(len(k.name) + len(k.etag) + len(k.body) + len(k.gzip) + len(k.zstd))
}

// keptAnswers are the answers that were written before.
type keptAnswers struct{ by *cache.LRU[*kept] }

func newKeptAnswers(most int64, now func() time.Time) keptAnswers {
	return keptAnswers{cache.NewLRU[*kept](most, now)}
}

func (a keptAnswers) get(under string) (*kept, bool) { return a.by.Get(under) }

// keep keeps an answer that a service knows by its name.
func (a keptAnswers) keep(under string, k *kept) {
	if k.name != "" {
		a.by.Set(under, k, k.size(), keptFor)
	}
}

// keptUnder names the answers to a request: by what is asked for, and by who asks. The catalog has one answer for
// all its readers, and one for all its editors; every other service may have one for each caller. What the service
// knows of the caller beyond that, it says by the answer's name.
func keptUnder(x *exchange, r *http.Request) string {
	who := x.principal.Issuer + "\x00" + x.principal.Subject
	if strings.HasPrefix(x.route.rpc, "/preceptor.catalog.") {
		who = "reader"
		if x.principal.HasRole(auth.RoleAuthor) || x.principal.HasRole(auth.RoleAdmin) {
			who = "editor"
		}
	}
	return x.route.rpc + "\x00" + r.URL.EscapedPath() + "\x00" + r.URL.RawQuery + "\x00" + who
}

// keep notes which answer a response is made of, for its compression.
func (x *exchange) keep(under string, k *kept) { x.keptUnder, x.kept = under, k }

// The encodings that the compressor of responses chooses from.
type packing int

const (
	gzipped packing = iota
	zstded
)

// packed returns the compressed body, nil if there is none.
func (k *kept) packed(as packing) []byte {
	if as == gzipped {
		return k.gzip
	}
	return k.zstd
}

// with returns a copy with a compressed body.
func (k *kept) with(as packing, packed []byte) *kept {
	out := *k
	if as == gzipped {
		out.gzip = packed
	} else {
		out.zstd = packed
	}
	return &out
}

// gzipWriters and zstdWriters are the compressor's own, but for responses that are kept: those are compressed once.
func (g *Gateway) gzipWriters() writer.GzipWriterFactory {
	return writer.GzipWriterFactory{Levels: gzkp.Levels, New: func(to io.Writer, level int) writer.GzipWriter {
		return g.packer(to, gzipped, func(to io.Writer) compressor { return gzkp.NewWriter(to, level) })
	}}
}

func (g *Gateway) zstdWriters() writer.ZstdWriterFactory {
	return writer.ZstdWriterFactory{Levels: zstdkp.Levels, New: func(to io.Writer, level int) writer.ZstdWriter {
		return g.packer(to, zstded, func(to io.Writer) compressor { return zstdkp.NewWriter(to, level) })
	}}
}

type compressor interface {
	io.WriteCloser
	Flush() error
}

// packer returns a writer that compresses a response to its client.
func (g *Gateway) packer(to io.Writer, as packing, compress func(io.Writer) compressor) compressor {
	rec, ok := to.(*recorder)
	if !ok || rec.exchange.kept == nil || rec.exchange.kept.name == "" {
		return compress(to)
	}
	if packed := rec.exchange.kept.packed(as); packed != nil {
		return &packedWriter{to: to, packed: packed}
	}
	p := &packWriter{kept: g.kept, exchange: rec.exchange, as: as}
	p.compressor = compress(io.MultiWriter(to, &p.packed))
	return p
}

// packedWriter writes what was compressed before in place of what it is given.
type packedWriter struct {
	to     io.Writer
	packed []byte // nil once it is written
}

// Write takes the response's body, or a part of it.
func (p *packedWriter) Write(b []byte) (int, error) {
	if p.packed != nil {
		packed := p.packed
		p.packed = nil
		if _, err := p.to.Write(packed); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Flush does nothing: all is written at once.
func (p *packedWriter) Flush() error { return nil }

// Close does nothing.
func (p *packedWriter) Close() error { return nil }

// packWriter compresses a response, and keeps that.
type packWriter struct {
	compressor

	kept     keptAnswers
	exchange *exchange
	as       packing
	packed   bytes.Buffer
}

// Close ends the response.
func (p *packWriter) Close() error {
	err := p.compressor.Close()
	if err == nil {
		p.kept.keep(p.exchange.keptUnder, p.exchange.kept.with(p.as, bytes.Clone(p.packed.Bytes())))
	}
	return err
}

// Kept returns what was kept so far: hits are requests whose service was asked by the name of an answer.
func (g *Gateway) Kept() cache.Stats { return g.kept.by.Stats() }

// Forget gives up the answers that were kept.
func (g *Gateway) Forget() { g.kept.by.Clear() }
