package rpc

import "google.golang.org/protobuf/proto"

// Normalized is what a unary request becomes before it is validated.
func Normalized(v *Validator, request proto.Message) proto.Message { return v.normal.unary(request) }
