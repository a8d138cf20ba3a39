package wire

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// unmarshal is protojson's, which takes also the times of RFC 3339 that have a lower-case t or z. Since
// hardly any have, a text is read as it is first.
func unmarshal(data []byte, into proto.Message) error {
	err := protojson.Unmarshal(data, into)
	if err == nil || !json.Valid(data) {
		return err
	}
	upper := withUpperTimes(data, into.ProtoReflect().Descriptor())
	if bytes.Equal(upper, data) {
		return err
	}
	return protojson.Unmarshal(upper, into)
}

// withUpperTimes returns valid JSON of a message with each t and z of its times in upper case. It is as
// long as before.
func withUpperTimes(data []byte, md protoreflect.MessageDescriptor) []byte {
	data = bytes.Clone(data)
	raiseValue(data, md)
	return data
}

// raiseValue changes the text of a message in place.
func raiseValue(text []byte, md protoreflect.MessageDescriptor) {
	if md.FullName() == timestampName {
		raiseTime(text)
		return
	}
	if isWellKnown(md) {
		return
	}
	for name, value := range Members(text) {
		switch fd := FieldByName(md, name); {
		case fd == nil:
		case fd.IsMap():
			if of := fd.MapValue().Message(); of != nil {
				for _, one := range Members(value) {
					raiseValue(one, of)
				}
			}
		case fd.Message() == nil:
		case fd.IsList():
			for _, one := range elements(value) {
				raiseValue(one, fd.Message())
			}
		default:
			raiseValue(value, fd.Message())
		}
	}
}

const timestampName = "google.protobuf.Timestamp"

// raiseTime changes a string such as "2026-11-20t08:00:00z", with its quotes, where t and z may be. Whether
// it is a time is left to protojson.
func raiseTime(text []byte) {
	const t = len(`"2026-11-20`)
	if len(text) <= t+1 || text[0] != '"' {
		return
	}
	if text[t] == 't' {
		text[t] = 'T'
	}
	if z := len(text) - 2; text[z] == 'z' {
		text[z] = 'Z'
	}
}
