#!/usr/bin/env bash
# Compares proto/ with an earlier one: breaking.sh [REF]. Without REF, with the
# last release, a tag v*. Before the first release there is nothing that others
# may already use, so the check says so and passes.
set -euo pipefail
cd "$(dirname "$0")/.."

# release prints the last release. A commit that is tagged itself is compared
# with the tag before, unless proto/ has changed since the commit.
release() {
	local newest=HEAD
	if git diff --quiet HEAD -- proto; then
		newest=HEAD^
	fi
	git describe --tags --match 'v*' --abbrev=0 "$newest" 2>/dev/null || true
}

ref=${1:-$(release)}
if [ -z "$ref" ]; then
	echo "breaking: no release (tag v*) to compare with; BASE=ref compares with a commit"
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
