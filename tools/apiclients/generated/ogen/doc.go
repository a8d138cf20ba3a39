// Package ogen is a client of the REST API that ogen generates from gateway/openapi.json; its code is
// made by `make api-check`, and not kept.
package ogen
