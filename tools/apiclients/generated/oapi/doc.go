// Package oapi is a client of the REST API that oapi-codegen generates from gateway/openapi.json; its
// code is made by `make api-check`, and not kept.
package oapi
