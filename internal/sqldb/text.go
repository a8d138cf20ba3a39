package sqldb

import (
	"strconv"

	"github.com/jackc/pgx/v5"
)

// MaxVars is the most placeholders that a statement may have: SQLite's limit, which is
// half of that of Postgres.
const MaxVars = 32766

// Values returns the placeholders of a multi-row VALUES: for 2 rows of 2 columns
// "($1,$2),($3,$4)". rows × cols must not exceed MaxVars.
func Values(rows, cols int) string {
	return string(appendValues(make([]byte, 0, rows*cols*6), rows, cols))
}

func appendValues(b []byte, rows, cols int) []byte {
	for r := range rows {
		if r > 0 {
			b = append(b, ',')
		}
		b = append(b, '(')
		b = appendVars(b, r*cols+1, cols)
		b = append(b, ')')
	}
	return b
}

// In returns the list of an IN with n placeholders, numbered from from: In(3, 2) is
// "($2,$3,$4)". With n = 0 it is "(NULL)", which nothing is in, for an empty list is no
// SQL on Postgres.
func In(n, from int) string {
	if n == 0 {
		return "(NULL)"
	}
	b := append(make([]byte, 0, n*6+2), '(')
	b = appendVars(b, from, n)
	return string(append(b, ')'))
}

func appendVars(b []byte, from, n int) []byte {
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(from+i), 10)
	}
	return b
}

func quoteIdentifier(name string) string { return pgx.Identifier{name}.Sanitize() }
