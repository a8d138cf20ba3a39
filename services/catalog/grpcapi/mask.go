package grpcapi

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// maskPaths are the fields that an update changes: those of the mask; all for "*";
// and without one those that are set, as AIP-134 has it.
func maskPaths(mask *fieldmaskpb.FieldMask, content proto.Message) []string {
	paths := mask.GetPaths()
	m := content.ProtoReflect()
	switch {
	case slices.Equal(paths, []string{"*"}):
		paths = nil
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			paths = append(paths, string(fields.Get(i).Name()))
		}
	case len(paths) == 0:
		m.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			paths = append(paths, string(field.Name()))
			return true
		})
	}
	return paths
}

// mergeMasked puts the fields that the paths name into a message of the same type; one
// that is not set clears, and one that only the service sets is left alone: a client
// may send back what it read. Returns Invalid naming each path that is none.
func mergeMasked(to, from proto.Message, paths []string) error {
	var violations []errs.Violation
	for i, path := range paths {
		if !mergeField(to.ProtoReflect(), from.ProtoReflect(), strings.Split(path, ".")) {
			violations = append(violations, errs.Violation{
				Field: "updateMask.paths[" + strconv.Itoa(i) + "]", Reason: "UNKNOWN_FIELD", Description: strconv.Quote(path) + " is no field that can change",
			})
		}
	}
	if len(violations) > 0 {
		return errs.InvalidFields(violations)
	}
	return nil
}

// mergeField is false when there is no such field. A list is replaced as a whole: its
// elements have no path.
func mergeField(to, from protoreflect.Message, path []string) bool {
	field := to.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	if field == nil {
		return false
	}
	if isOutputOnly(field) {
		return true
	}
	if len(path) > 1 {
		if field.Message() == nil || field.Cardinality() == protoreflect.Repeated {
			return false
		}
		return mergeField(to.Mutable(field).Message(), from.Get(field).Message(), path[1:])
	}
	if from.Has(field) {
		to.Set(field, from.Get(field))
	} else {
		to.Clear(field)
	}
	return true
}

func isOutputOnly(field protoreflect.FieldDescriptor) bool {
	behavior, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behavior, annotations.FieldBehavior_OUTPUT_ONLY)
}
