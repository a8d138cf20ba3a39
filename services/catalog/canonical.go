package catalog

import (
	"bytes"

	"github.com/preceptor-dev/preceptor/internal/canonical"
)

// contentHash is the SHA-256, in hex, of the content with its defaults spelled out.
func contentHash[C Content[C]](content C) (string, error) { return canonical.Hash(content.Resolved()) }

// same reports whether two contents, or parts of one, are equal in canonical form.
func same(a, b any) (bool, error) {
	x, err := canonical.JSON(a)
	if err != nil {
		return false, err
	}
	y, err := canonical.JSON(b)
	return bytes.Equal(x, y), err
}
