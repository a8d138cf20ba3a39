#!/usr/bin/env bash
# Puts the program of the last release, a tag v*, at bin/previous/preceptor, for tests that run it beside this one:
# previous.sh [FOLDER]. FOLDER is where a release's files are kept, as they were published: the archive of this
# platform in it is checked with SHA256SUMS, and that with SHA256SUMS.sig where SIGNERS names a file of the
# keys that may sign. Without FOLDER the program is built from the tag, which gives the same bytes by the same Go.
# Before the first release there is none: the script says so, and passes.
set -euo pipefail
cd "${ROOT:-$(dirname "$0")/..}"

# A commit that is tagged itself has the tag before it.
tag=$(git describe --tags --match 'v*' --abbrev=0 HEAD^ 2>/dev/null || true)
rm -rf bin/previous
if [ -z "$tag" ]; then
	echo "previous: there is no release (tag v*) before this commit"
	exit 0
fi
mkdir -p bin/previous
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
folder=${1:-}
if [ -n "$folder" ]; then
	archive=preceptor_${tag}_$(go env GOOS)_$(go env GOARCH).tar.gz
	if [ -n "${SIGNERS:-}" ]; then
		ssh-keygen -q -Y verify -f "$SIGNERS" -I releases -n preceptor-release -s "$folder/SHA256SUMS.sig" <"$folder/SHA256SUMS"
	fi
	grep -F "  $archive" "$folder/SHA256SUMS" >"$tmp/sum" || {
		echo "previous: $folder has no $archive in its SHA256SUMS" >&2
		exit 1
	}
	(cd "$folder" && sha256sum --check --strict --quiet "$tmp/sum")
	tar -xzf "$folder/$archive" -C "$tmp"
	find "$tmp" -type f -name preceptor -exec mv {} bin/previous/preceptor \;
else
	git archive "$tag" | tar -x -C "$tmp"
	make --no-print-directory -C "$tmp" build VERSION="$tag" BINARY="$PWD/bin/previous/preceptor"
fi
test -x bin/previous/preceptor
echo "previous: bin/previous/preceptor is $(bin/previous/preceptor version)"
