// Package outside is written as somebody else would write a Go client: in a module of its own,
// with the generated code in gen alone. docs/clients.md shows it.
package outside
