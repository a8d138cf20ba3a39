package rpc

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
)

// ifMatch is the metadata that an If-Match header travels as.
const ifMatch = "if-match"

// Preconditions are lists of etags, as an If-Match header holds them. Each list must hold
// the etag of what is to be changed.
type Preconditions []string

// PreconditionsOf returns the preconditions of a request: its If-Match headers, and its fields etag, the
// request's own and the one of the entity that it sends, unless they are empty.
func PreconditionsOf(ctx context.Context, fields ...string) Preconditions {
	all := slices.Clip(metadata.ValueFromIncomingContext(ctx, ifMatch))
	for _, field := range fields {
		if field != "" {
			all = append(all, field)
		}
	}
	return all
}

// Match reports whether the etag meets all of the preconditions.
func (p Preconditions) Match(etag string) bool {
	for _, list := range p {
		if _, found := FindEtag(list, etag); !found {
			return false
		}
	}
	return true
}

// FindEtag returns the item of a list, as If-Match and If-None-Match hold it, that names
// the etag; "*" names any. It compares weakly: our etags name what was read, not its bytes.
func FindEtag(list, etag string) (item string, found bool) {
	for item = range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "*" || item != "" && BareEtag(item) == BareEtag(etag) {
			return item, true
		}
	}
	return "", false
}

// BareEtag returns one etag without quotes, without the W/ that proxies put before it when
// they compress, and without the suffix that the gateway appends when it does. A list stays
// as it is: no etag equals it.
func BareEtag(tag string) string {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' && strings.Count(tag, `"`) == 2 {
		tag = tag[1 : len(tag)-1]
	}
	for _, suffix := range []string{"-gzip", "-zstd"} {
		tag = strings.TrimSuffix(tag, suffix)
	}
	return tag
}
