package gateway

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The descriptors of the API, and their media type.
const (
	descriptorsPath = "/descriptors.binpb"
	contentProtobuf = "application/protobuf"
)

// newDescriptors returns a FileDescriptorSet with the files that declare the API and all that they import,
// each after its imports. It is the same for the same API, so that its ETag is.
func newDescriptors() ([]byte, error) {
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	for _, file := range files() {
		add(file)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("gateway: descriptors: %w", err)
	}
	return encoded, nil
}
