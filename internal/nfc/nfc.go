// Package nfc brings text that people write into Unicode's composed form, NFC, where it enters: one
// keyboard writes é as one character and another as two, and they are meant to be the same.
package nfc

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Is reports whether a text is in NFC. Bytes that are no UTF-8 are left to whoever refuses them.
func Is(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf { // below, every text is
			return norm.NFC.IsNormalString(text)
		}
	}
	return true
}

// String returns a text in NFC.
func String(text string) string {
	if Is(text) {
		return text
	}
	return norm.NFC.String(text)
}
