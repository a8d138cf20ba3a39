// Package e2e is the black-box suite: it builds the program, runs it as its users
// do, in one process and in four, and speaks to it over HTTP alone. The responses
// that clients rely on are stored in testdata; `go test ./test/e2e -update` writes
// them anew.
package e2e
