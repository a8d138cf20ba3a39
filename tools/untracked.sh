#!/usr/bin/env bash
# Fails when a folder holds files that git neither tracks nor ignores.
set -euo pipefail
files=$(git ls-files --others --exclude-standard -- "$@")
if [ -n "$files" ]; then
	echo "not committed:" >&2
	echo "$files" >&2
	exit 1
fi
