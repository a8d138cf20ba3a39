#!/usr/bin/env bash
# Builds the release of the commit that is checked out twice: here, and in a clone in another folder,
# with an empty cache of the compiler, in another time zone and with other rights for new files. Both must
# have the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "$(git status --porcelain)" ]; then
	echo "release-check: there are changes that no commit has, so a clone differs" >&2
	exit 1
fi
make --no-print-directory release VERSION="$VERSION"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git clone --quiet --no-hardlinks . "$tmp/elsewhere/preceptor"
git -C "$tmp/elsewhere/preceptor" checkout --quiet --detach "$(git rev-parse HEAD)"
(
	umask 077
	TZ=Asia/Kathmandu LC_ALL=C GOCACHE=$tmp/cache make -C "$tmp/elsewhere/preceptor" --no-print-directory release VERSION="$VERSION"
)
diff --recursive bin/release "$tmp/elsewhere/preceptor/bin/release"
(cd bin/release && sha256sum --check --strict --quiet SHA256SUMS)
# Signed by a key that nobody keeps; go -C tools/release test tries what must be refused.
cp -r bin/release "$tmp/signed"
ssh-keygen -q -t ed25519 -N '' -C 'thrown away' -f "$tmp/key"
tools/release-sign.sh "$tmp/signed" "$tmp/key"
echo "release-check: both builds of $VERSION have the same bytes"
