package rpc

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// checkedHeaders refuses headers and trailers that HTTP/2 cannot carry at the
// place where they are set. gRPC does so on streams only.
type checkedHeaders struct{ grpc.ServerTransportStream }

func (h checkedHeaders) SetHeader(md metadata.MD) error {
	md, err := sendable(md)
	if err != nil {
		return err
	}
	return h.ServerTransportStream.SetHeader(md)
}

func (h checkedHeaders) SendHeader(md metadata.MD) error {
	md, err := sendable(md)
	if err != nil {
		return err
	}
	return h.ServerTransportStream.SendHeader(md)
}

func (h checkedHeaders) SetTrailer(md metadata.MD) error {
	md, err := sendable(md)
	if err != nil {
		return err
	}
	return h.ServerTransportStream.SetTrailer(md)
}

// sendable is md as gRPC sends it over the network: without the keys that are
// the protocol's own. Internal when a key or value cannot be sent.
func sendable(md metadata.MD) (metadata.MD, error) {
	var out metadata.MD // a copy, made when a key has to go
	for key, values := range md {
		if err := validPair(key, values); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		if isReserved(key) {
			if out == nil {
				out = md.Copy()
			}
			delete(out, key)
		}
	}
	if out == nil {
		return md, nil
	}
	return out, nil
}

func validPair(key string, values []string) error {
	if key == "" {
		return errors.New("there is an empty key in the header")
	}
	if key[0] == ':' {
		return nil
	}
	for _, r := range []byte(key) {
		if !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' || r == '-' || r == '_') {
			return fmt.Errorf("header key %q contains illegal characters not in [0-9a-z-_.]", key)
		}
	}
	if strings.HasSuffix(key, "-bin") {
		return nil
	}
	for _, value := range values {
		for _, r := range []byte(value) {
			if r < 0x20 || r > 0x7E {
				return fmt.Errorf("header key %q contains value with non-printable ASCII characters", key)
			}
		}
	}
	return nil
}

// isReserved lists what gRPC writes itself and accepts from no caller.
func isReserved(key string) bool {
	switch key {
	case "content-type", "user-agent", "te", "grpc-message-type", "grpc-encoding", "grpc-message",
		"grpc-status", "grpc-timeout", "grpc-status-details-bin":
		return true
	}
	return strings.HasPrefix(key, ":")
}
