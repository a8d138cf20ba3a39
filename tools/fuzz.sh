#!/usr/bin/env bash
# Runs every fuzz target of the module in turn: fuzz.sh [TIME], 20s by default.
# `go test -fuzz` takes one target of one package at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
found=0
for package in $(grep -rl --include='*_test.go' --exclude-dir=node_modules --exclude-dir=tools '^func Fuzz' . | xargs -rn1 dirname | sort -u); do
	for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$package"/*_test.go | sed 's/^func //'); do
		found=1
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done
if [ "$found" = 0 ]; then
	echo "no fuzz targets"
fi
