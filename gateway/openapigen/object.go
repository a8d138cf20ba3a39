package main

import (
	"bytes"
	"encoding/json"
	"slices"
)

// object is a JSON object with ordered members: an id comes first, as in proto/, not
// in alphabetical order.
type object struct{ members []member }

type member struct {
	name  string
	value any
}

// of returns an object of alternating names and values.
func of(pairs ...any) *object {
	o := &object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		o.set(name, pairs[i+1])
	}
	return o
}

// set replaces a member, or appends it.
func (o *object) set(name string, value any) *object {
	for i := range o.members {
		if o.members[i].name == name {
			o.members[i].value = value
			return o
		}
	}
	o.members = append(o.members, member{name, value})
	return o
}

// get gives an object that is a member, making it where there is none.
func (o *object) get(name string) *object {
	for _, m := range o.members {
		if inner, ok := m.value.(*object); ok && m.name == name {
			return inner
		}
	}
	inner := &object{}
	o.set(name, inner)
	return inner
}

// remove takes a member out.
func (o *object) remove(name string) *object {
	o.members = slices.DeleteFunc(o.members, func(m member) bool { return m.name == name })
	return o
}

func (o *object) has(name string) bool {
	for _, m := range o.members {
		if m.name == name {
			return true
		}
	}
	return false
}

// MarshalJSON writes the members in order.
func (o *object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o.members {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		var value bytes.Buffer
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(bytes.TrimSpace(value.Bytes()))
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
