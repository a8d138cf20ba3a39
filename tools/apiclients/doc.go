// Package apiclients holds what the REST API's generated clients are tried with: its test starts the
// program, and does with each client what a developer's first program does. The clients are generated
// by `make api-check`, so the test has the build tag generated.
package apiclients

import (
	_ "github.com/go-faster/errors" // this and the others: what generated code imports, so that go.mod has it while there is none
	_ "github.com/go-faster/jx"
	_ "github.com/google/uuid"
	_ "github.com/oapi-codegen/runtime"
	_ "github.com/oapi-codegen/runtime/types"
	_ "github.com/ogen-go/ogen/conv"
	_ "github.com/ogen-go/ogen/http"
	_ "github.com/ogen-go/ogen/json"
	_ "github.com/ogen-go/ogen/ogenerrors"
	_ "github.com/ogen-go/ogen/ogenregex"
	_ "github.com/ogen-go/ogen/uri"
	_ "github.com/ogen-go/ogen/validate"
	_ "go.yaml.in/yaml/v3"
)
