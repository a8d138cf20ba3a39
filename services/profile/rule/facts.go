package rule

import (
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/preceptor-dev/preceptor/services/profile"
)

// activation is a learner as a program asks for them.
type activation struct {
	facts profile.Facts
}

var _ cel.Activation = (*activation)(nil)

// ResolveName returns the value of a variable.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case attributesName:
		return attributes(a.facts.Attributes), true
	case hireDateName:
		return types.String(a.facts.Attributes[profile.HireDate]), true
	case stateName:
		return types.String(a.facts.State), true
	}
	return nil, false
}

// Parent returns nil: there are no other variables.
func (*activation) Parent() cel.Activation { return nil }

// attributes is a map in which every name has a value: "" where the learner has none.
type attributes map[string]string

var _ traits.Mapper = attributes(nil)

// whole is the map without the names that it does not have.
func (m attributes) whole() traits.Mapper {
	return types.NewStringStringMap(types.DefaultTypeAdapter, m)
}

// Find returns the value of a name.
func (m attributes) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	return types.String(m[string(name)]), true
}

// Get returns the value of a name.
func (m attributes) Get(key ref.Val) ref.Val {
	value, _ := m.Find(key)
	return value
}

// Contains reports whether the learner has an attribute.
func (m attributes) Contains(key ref.Val) ref.Val { return m.whole().Contains(key) }

// Iterator returns the names of the attributes that the learner has.
func (m attributes) Iterator() traits.Iterator { return m.whole().Iterator() }

// Size returns how many attributes the learner has.
func (m attributes) Size() ref.Val { return types.Int(len(m)) }

// Equal reports whether another map is the same.
func (m attributes) Equal(other ref.Val) ref.Val { return m.whole().Equal(other) }

// Type returns the type of maps.
func (attributes) Type() ref.Type { return types.MapType }

// Value returns the map as Go has it.
func (m attributes) Value() any { return map[string]string(m) }

// ConvertToNative returns the map as a type of Go.
func (m attributes) ConvertToNative(t reflect.Type) (any, error) { return m.whole().ConvertToNative(t) }

// ConvertToType returns the map as a type of CEL.
func (m attributes) ConvertToType(t ref.Type) ref.Val { return m.whole().ConvertToType(t) }
