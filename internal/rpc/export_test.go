package rpc

import "google.golang.org/protobuf/proto"

// Normalized is what a unary request becomes before it is validated.
func Normalized(v *Validator, request proto.Message) proto.Message { return v.normal.unary(request) }

// Unread returns what the server accounts for callers who have to read: how many streams they have open, how
// many of these are to be read, and how many bytes of the quota are taken.
func (s *Server) Unread() (streams, due int, held int64) {
	s.readers.mu.Lock()
	defer s.readers.mu.Unlock()
	for c := range s.readers.open {
		c.mu.Lock()
		streams += len(c.answers)
		due += c.due
		c.mu.Unlock()
	}
	return streams, due, s.readers.sending.Used()
}

// Receiving returns how many bytes of the quota for requests are taken.
func (s *Server) Receiving() int64 { return s.receiving.Used() }
