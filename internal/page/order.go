package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// KeyLength is how many characters of a text decide where it stands in an order, so that a page token
// has a bounded length. Items that agree in so many are ordered by their ids.
const KeyLength = 60

// Order is the order of a list: by one field, and where that is equal by id, in the same direction.
type Order struct {
	Field string
	Desc  bool
}

// ParseOrder reads an order as AIP-132 writes it: "title", "title desc" or "title asc"; the first of the
// fields when the text is empty. A field may be written as protobuf writes it too: "publish_time".
// Returns Invalid with a violation on orderBy: UNKNOWN_VALUE when there is no such field or
// direction, TOO_MANY when there are several.
func ParseOrder(text string, fields ...string) (Order, error) {
	words := strings.Fields(text)
	switch {
	case text == "":
		return Order{Field: fields[0]}, nil
	case strings.Contains(text, ","):
		return Order{}, refused(errs.ReasonTooMany, "names several fields; a list is ordered by one of "+strings.Join(fields, ", ")+", and then by id")
	case len(words) == 0 || len(words) > 2:
		return Order{}, refused(errs.ReasonUnknownValue, form(fields))
	}
	i := slices.IndexFunc(fields, func(f string) bool { return words[0] == f || words[0] == snake(f) })
	if i < 0 {
		return Order{}, refused(errs.ReasonUnknownValue, fmt.Sprintf("there is no field %q to order by; %s", words[0], form(fields)))
	}
	order := Order{Field: fields[i], Desc: len(words) == 2 && words[1] == "desc"}
	if len(words) == 2 && !order.Desc && words[1] != "asc" {
		return Order{}, refused(errs.ReasonUnknownValue, fmt.Sprintf("%q is no direction; %s", words[1], form(fields)))
	}
	return order, nil
}

// form is what an order can be.
func form(fields []string) string {
	return "want one of " + strings.Join(fields, ", ") + `, and " desc" behind it for the other direction`
}

func refused(reason, description string) error {
	return errs.InvalidFields([]errs.Violation{{Field: "orderBy", Description: description, Reason: reason}})
}

// snake is a name in lowerCamelCase as protobuf has it.
func snake(name string) string {
	var out strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			out.WriteByte('_')
			r += 'a' - 'A'
		}
		out.WriteRune(r)
	}
	return out.String()
}

// Key returns the part of a text that decides where it stands in an order: its first KeyLength characters.
func Key(text string) string {
	n := 0
	for i := range text {
		if n == KeyLength {
			return text[:i]
		}
		n++
	}
	return text
}
