package rpc

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

// Mask is which fields of an entity an update changes.
type Mask struct {
	// Paths are names of fields as the proto spells them: "weekly_goal.minutes".
	Paths []string
	// JSONNames accepts names as JSON spells them too: "weeklyGoal.minutes".
	JSONNames bool
}

// MaskOf returns the fields that a request's mask names: all for "*", and, as AIP-134 has
// it, those set in the entity when there is no mask.
func MaskOf(mask *fieldmaskpb.FieldMask, entity proto.Message) Mask {
	paths := mask.GetPaths()
	m := entity.ProtoReflect()
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
	return Mask{Paths: paths}
}

// Names reports whether a path of the mask is the field, or a part of it.
func (m Mask) Names(entity proto.Message, field protoreflect.Name) bool {
	fields := entity.ProtoReflect().Descriptor().Fields()
	return slices.ContainsFunc(m.Paths, func(path string) bool {
		first, _, _ := strings.Cut(path, ".")
		named := m.find(fields, first)
		return named != nil && named.Name() == field
	})
}

// Unknown returns the positions of the paths that name no field of the entity that could
// change.
func (m Mask) Unknown(entity proto.Message) []int {
	var unknown []int
	for i, path := range m.Paths {
		if !m.known(entity.ProtoReflect().Descriptor(), strings.Split(path, ".")) {
			unknown = append(unknown, i)
		}
	}
	return unknown
}

// Merge copies the fields that the mask names from one message to another of the same type.
// A field that is not set clears. One that only the service sets stays as it is, so that a
// client may send back what it read. Merge returns Invalid, with a violation of the reason
// for each path that Unknown finds, and then copies nothing.
func (m Mask) Merge(to, from proto.Message, reason string) error {
	unknown := m.Unknown(to)
	if len(unknown) > 0 {
		return m.refused(unknown, reason)
	}
	for _, path := range m.Paths {
		m.merge(to.ProtoReflect(), from.ProtoReflect(), strings.Split(path, "."))
	}
	return nil
}

func (m Mask) refused(unknown []int, reason string) error {
	violations := make([]errs.Violation, 0, len(unknown))
	for _, i := range unknown {
		violations = append(violations, errs.Violation{
			Field:       "updateMask.paths[" + strconv.Itoa(i) + "]",
			Description: strconv.Quote(m.Paths[i]) + " is no field that can change",
			Reason:      reason,
		})
	}
	return errs.InvalidFields(violations)
}

// known reports whether the path names a field. The elements of a list have no path.
func (m Mask) known(d protoreflect.MessageDescriptor, path []string) bool {
	field := m.find(d.Fields(), path[0])
	if field == nil || isOutputOnly(field) || len(path) == 1 {
		return field != nil
	}
	return field.Message() != nil && field.Cardinality() != protoreflect.Repeated && m.known(field.Message(), path[1:])
}

func (m Mask) merge(to, from protoreflect.Message, path []string) {
	field := m.find(to.Descriptor().Fields(), path[0])
	switch {
	case isOutputOnly(field):
	case len(path) > 1:
		m.merge(to.Mutable(field).Message(), from.Get(field).Message(), path[1:])
	case from.Has(field):
		to.Set(field, from.Get(field))
	default:
		to.Clear(field)
	}
}

func (m Mask) find(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	field := fields.ByName(protoreflect.Name(name))
	if field == nil && m.JSONNames {
		field = fields.ByJSONName(name)
	}
	return field
}

func isOutputOnly(field protoreflect.FieldDescriptor) bool {
	behavior, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behavior, annotations.FieldBehavior_OUTPUT_ONLY)
}
