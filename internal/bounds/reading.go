package bounds

import "time"

// How a client has to read what it asked for, over REST and gRPC alike.
const (
	// SlowReader is how long it may take over ReaderPiece, again and again.
	SlowReader = 10 * time.Second
	// ReaderPiece is that many bytes. What is more than one may take as long as it takes at ReaderRate.
	ReaderPiece = 64 << 10
	// ReaderRate is in bytes a second.
	ReaderRate = 8 << 10
)
