// Package tagged is a compact form of what is stored: fields by number, of which a reader passes over
// those that it does not know.
//
// A field is a header, the field's number and the kind of its value, and the value. What is zero is not
// written. The functions append a field to a form; a Reader goes through the fields of one.
package tagged

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
)

// The kinds of values, and how many bits of a header they take.
const (
	kindInt   = 0 // a zigzag varint
	kindFloat = 1 // 8 bytes, the least significant first
	kindBytes = 2 // a length and as many bytes
	kindUUID  = 3 // 16 bytes
	kindBits  = 2
)

func header(b []byte, field, kind int) []byte {
	return binary.AppendUvarint(b, uint64(field)<<kindBits|uint64(kind)) //nolint:gosec // both are small constants
}

// Int appends a number; 0 is not written.
func Int[T ~int | ~int64](b []byte, field int, n T) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendVarint(header(b, field, kindInt), int64(n))
}

// Since appends a number that is near to another one; 0 is not written. Reader.Since reads it.
func Since(b []byte, field int, n, base int64) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendVarint(header(b, field, kindInt), n-base)
}

// OptionalInt appends a number, 0 too; nil is not written.
func OptionalInt(b []byte, field int, n *int) []byte {
	if n == nil {
		return b
	}
	return binary.AppendVarint(header(b, field, kindInt), int64(*n))
}

// Bool appends that something is so; false is not written.
func Bool(b []byte, field int, is bool) []byte {
	if !is {
		return b
	}
	return binary.AppendVarint(header(b, field, kindInt), 1)
}

// Float appends a finite number, 0 too; nil is not written.
func Float(b []byte, field int, n *float64) []byte {
	if n == nil {
		return b
	}
	return binary.LittleEndian.AppendUint64(header(b, field, kindFloat), math.Float64bits(*n))
}

// Text appends a text; "" is not written.
func Text[T ~string](b []byte, field int, s T) []byte {
	if s == "" {
		return b
	}
	return append(binary.AppendUvarint(header(b, field, kindBytes), uint64(len(s))), s...)
}

// ID appends a text that mostly is a UUID, which then takes 16 bytes; "" is not written. Reader.Text reads it.
func ID(b []byte, field int, s string) []byte {
	if id, ok := ParseUUID(s); ok {
		return append(header(b, field, kindUUID), id[:]...)
	}
	return Text(b, field, s)
}

// Bytes appends bytes; none are not written.
func Bytes(b []byte, field int, s []byte) []byte {
	if len(s) == 0 {
		return b
	}
	return append(binary.AppendUvarint(header(b, field, kindBytes), uint64(len(s))), s...)
}

// Ints appends numbers, best those that ascend; none are not written.
func Ints(b []byte, field int, numbers []int) []byte {
	if len(numbers) == 0 {
		return b
	}
	b, at := Begin(b, field)
	last := 0
	for _, n := range numbers {
		b = binary.AppendVarint(b, int64(n-last))
		last = n
	}
	return End(b, at)
}

// Begin begins a field that is a form itself, empty or not; what is appended until End is in it.
func Begin(b []byte, field int) (form []byte, at int) {
	b = append(header(b, field, kindBytes), 0) // the length, which mostly is a byte
	return b, len(b)
}

// End ends what Begin began, which returned at.
func End(b []byte, at int) []byte {
	n := len(b) - at
	if n < 1<<7 {
		b[at-1] = byte(n) //nolint:gosec // it is less than 128
		return b
	}
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	b = append(b, length[:size-1]...) // room
	copy(b[at+size-1:], b[at:at+n])
	copy(b[at-1:], length[:size])
	return b
}

// ParseUUID returns the bytes of a UUID in its only accepted text: 36 characters, in lower case.
func ParseUUID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	for i, at := range [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		high, low := digit(s[at]), digit(s[at+1])
		if high|low > 15 {
			return id, false
		}
		id[i] = high<<4 | low
	}
	return id, true
}

// digit is the value of a hexadecimal digit in lower case, and of another byte what no digit has.
func digit(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c-'a' <= 5:
		return c - 'a' + 10
	default:
		return 0xff
	}
}

// FormatUUID is the text of a UUID's 16 bytes.
func FormatUUID[T ~string | ~[]byte](id T) string {
	b, raw := [36]byte{8: '-', 13: '-', 18: '-', 23: '-'}, [16]byte{}
	copy(raw[:], id)
	hex.Encode(b[:8], raw[:4])
	hex.Encode(b[9:13], raw[4:6])
	hex.Encode(b[14:18], raw[6:8])
	hex.Encode(b[19:23], raw[8:10])
	hex.Encode(b[24:], raw[10:])
	return string(b[:])
}

// errMalformed is a form that nothing here has written.
var errMalformed = errors.New("the stored form is malformed")

// Reader goes through the fields of a form. Texts are parts of the form, not copies.
type Reader struct {
	rest  string
	field int
	kind  int
	n     uint64 // of a number, or a float's bits
	raw   string // of bytes and UUIDs
	bad   bool
}

// NewReader reads a form.
func NewReader(form string) Reader { return Reader{rest: form} }

// Next goes to the next field, and reports whether there is one that can be read.
func (r *Reader) Next() bool {
	if r.bad || r.rest == "" {
		return false
	}
	head := r.uvarint()
	r.field, r.kind = int(head>>kindBits), int(head&(1<<kindBits-1))
	switch r.kind {
	case kindInt:
		r.n = r.uvarint()
	case kindFloat:
		if raw := r.take(8); !r.bad {
			r.n = binary.LittleEndian.Uint64([]byte(raw))
		}
	case kindBytes:
		r.raw = r.take(r.uvarint())
	default:
		r.raw = r.take(16)
	}
	return !r.bad
}

// Err returns an error where the form could not be read to its end.
func (r *Reader) Err() error {
	if r.bad {
		return errMalformed
	}
	return nil
}

// Fail has the form be malformed where its content cannot be.
func (r *Reader) Fail(err error) {
	if err != nil {
		r.bad = true
	}
}

// Field is the number of the field.
func (r *Reader) Field() int { return r.field }

// Int returns the field's number.
func (r *Reader) Int() int64 {
	if !r.is(kindInt) {
		return 0
	}
	return zigzag(r.n)
}

// Since returns the field's number, as Since took it.
func (r *Reader) Since(base int64) int64 { return r.Int() + base }

// OptionalInt returns the field's number.
func (r *Reader) OptionalInt() *int { return new(int(r.Int())) }

// Bool reports whether the field says so.
func (r *Reader) Bool() bool { return r.Int() != 0 }

// Float returns the field's number.
func (r *Reader) Float() *float64 {
	if !r.is(kindFloat) {
		return nil
	}
	n := math.Float64frombits(r.n)
	if math.IsNaN(n) || math.IsInf(n, 0) {
		r.bad = true
	}
	return &n
}

// Text returns the field's text, or its UUID as text.
func (r *Reader) Text() string {
	if r.kind == kindUUID {
		return FormatUUID(r.raw)
	}
	return r.Form()
}

// Form returns the field's text, bytes or form as they are.
func (r *Reader) Form() string {
	if !r.is(kindBytes) {
		return ""
	}
	return r.raw
}

// Ints returns the field's numbers.
func (r *Reader) Ints() []int {
	inner := Reader{rest: r.Form()}
	numbers := 0
	for i := range len(inner.rest) {
		if inner.rest[i] < 1<<7 { // a number's last byte
			numbers++
		}
	}
	out, last := make([]int, 0, numbers), 0
	for inner.rest != "" && !inner.bad {
		last += int(zigzag(inner.uvarint()))
		out = append(out, last)
	}
	r.bad = r.bad || inner.bad || len(out) == 0
	return out
}

func (r *Reader) is(kind int) bool {
	r.bad = r.bad || r.kind != kind
	return !r.bad
}

func (r *Reader) uvarint() uint64 {
	var n uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 1<<7 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *Reader) take(n uint64) string {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	raw := r.rest[:n]
	r.rest = r.rest[n:]
	return raw
}

func zigzag(n uint64) int64 {
	return int64(n>>1) ^ -int64(n&1)
}
