#!/usr/bin/env bash
# Runs the pinned buf: the npm platform package where there is one, else one
# installed by `go install github.com/bufbuild/buf/cmd/buf`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for bin in "$here"/node_modules/@bufbuild/buf-*/bin/buf; do
	if [ -x "$bin" ]; then
		exec "$bin" "$@"
	fi
done
exec buf "$@"
