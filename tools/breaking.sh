#!/usr/bin/env bash
# Compares proto/ with an earlier one: breaking.sh [REF]. Without REF, with the
# commit where this branch left main, else with the last tag: what others may
# already use. With neither, as in a shallow clone, there is nothing to break.
set -euo pipefail
cd "$(dirname "$0")/.."

base() {
	local fork newest=HEAD
	if fork=$(git merge-base HEAD origin/main 2>/dev/null) && [ "$fork" != "$(git rev-parse HEAD)" ]; then
		echo "$fork"
		return
	fi
	# A commit that is tagged itself is held to the tag before.
	if git diff --quiet HEAD -- proto; then
		newest=HEAD^
	fi
	git describe --tags --abbrev=0 "$newest" 2>/dev/null || true
}

ref=${1:-$(base)}
if [ -z "$ref" ]; then
	echo "breaking: no earlier protos to compare with"
	exit 0
fi
git rev-parse --quiet --verify "$ref^{commit}" >/dev/null || {
	echo "breaking: no commit $ref" >&2
	exit 1
}
if [ -z "$(git ls-tree -r --name-only "$ref" -- proto)" ]; then
	echo "breaking: $ref has no protos"
	exit 0
fi

# A plain folder rather than buf's own git input: the third-party files that
# proto/ imports are git-ignored, so a commit alone does not compile.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git archive "$ref" buf.yaml proto | tar -x -C "$tmp"
cp -r .proto "$tmp"
tools/buf.sh breaking --against "$tmp" --exclude-imports
echo "breaking: nothing breaks since $ref"
