// Package canonical writes values as the JSON of RFC 8785, which has one spelling for
// everything: what is equal has equal bytes, and so one hash in every program.
package canonical

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON is the RFC 8785 JSON of a value that encoding/json can encode: keys in
// order, no space, one spelling for each text and number.
func JSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	return appendValue(make([]byte, 0, len(text)), tree)
}

// Hash is the SHA-256, in hex, of a value's canonical JSON.
func Hash(v any) (string, error) {
	text, err := JSON(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case float64:
		return appendNumber(b, v), nil
	case string:
		return appendText(b, v), nil
	case []any:
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendValue(b, element); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		return appendObject(b, v)
	}
	return nil, fmt.Errorf("no JSON value: %T", v)
}

func appendObject(b []byte, object map[string]any) ([]byte, error) {
	b = append(b, '{')
	for i, key := range slices.SortedFunc(maps.Keys(object), compareUTF16) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, key), ':')
		var err error
		if b, err = appendValue(b, object[key]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// compareUTF16 is the order that RFC 8785 asks for, which is not that of UTF-8.
func compareUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// appendNumber spells a number as ECMAScript does.
func appendNumber(b []byte, f float64) []byte {
	if f == 0 {
		return append(b, '0') // -0 too
	}
	size := max(f, -f)
	if size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	text := strconv.FormatFloat(f, 'e', -1, 64) // 1e-07
	mantissa, exponent, _ := bytes.Cut([]byte(text), []byte{'e'})
	b = append(append(b, mantissa...), 'e', exponent[0])
	return append(b, cmp.Or(string(bytes.TrimLeft(exponent[1:], "0")), "0")...)
}

// appendText escapes what RFC 8785 demands, and nothing else.
func appendText(b []byte, text string) []byte {
	b = append(b, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r < ' ':
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
