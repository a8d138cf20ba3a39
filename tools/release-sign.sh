#!/usr/bin/env bash
# Signs SHA256SUMS, and so all files that it lists: release-sign.sh FOLDER KEY. KEY is a private key of
# SSH, or a public one whose private one an agent or a token holds. Writes FOLDER/SHA256SUMS.sig.
set -euo pipefail

folder=$1 key=${2:-}
if [ -z "$key" ]; then
	echo "release-sign: give the key: make release-sign KEY=~/.ssh/release_ed25519" >&2
	exit 1
fi
sums=$folder/SHA256SUMS
(cd "$folder" && sha256sum --check --strict --quiet SHA256SUMS) # what is not as it was made is not signed
rm -f "$sums.sig"
ssh-keygen -q -Y sign -f "$key" -n preceptor-release "$sums"
# Readers verify by the public key: so do we.
signers=$(mktemp)
trap 'rm -f "$signers"' EXIT
printf 'releases %s\n' "$(ssh-keygen -y -f "$key" 2>/dev/null || cat "${key%.pub}.pub")" >"$signers"
ssh-keygen -q -Y verify -f "$signers" -I releases -n preceptor-release -s "$sums.sig" <"$sums"
echo "release-sign: $sums.sig is by this key; what verifies it is in docs/release.md:"
cat "$signers"
