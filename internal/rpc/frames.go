package rpc

import "encoding/binary"

// The frames of HTTP/2 that begin and end streams, and the flag of the last frame of one (RFC 9113, 6).
const (
	frameData      = 0
	frameHeaders   = 1
	frameReset     = 3
	flagStreamEnds = 1
	// prefaceBytes is what a client sends before its first frame.
	prefaceBytes = 24
	// frameHead is the length of a frame's header.
	frameHead = 9
)

// frames finds the headers of the frames in one direction of a connection.
type frames struct {
	head [frameHead]byte
	have int // bytes of head that are there
	skip int // bytes until the next header
}

// next reads on to the end of the next frame's header in b, and returns what is after it. found is false if
// b ends before.
func (f *frames) next(b []byte) (rest []byte, found bool) {
	skipped := min(f.skip, len(b))
	f.skip -= skipped
	b = b[skipped:]
	n := copy(f.head[f.have:], b)
	if f.have += n; f.have < frameHead {
		return nil, false
	}
	f.have, f.skip = 0, f.length()
	return b[n:], true
}

// length, kind, stream and ends are those of the frame whose header was found last.
func (f *frames) length() int {
	return int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
}

func (f *frames) kind() byte { return f.head[3] }

func (f *frames) ends() bool { return f.head[4]&flagStreamEnds != 0 }

func (f *frames) stream() uint32 { return binary.BigEndian.Uint32(f.head[5:]) &^ (1 << 31) }
