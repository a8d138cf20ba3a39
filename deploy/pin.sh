#!/bin/sh
# Writes behind the tag of each image of others, in the Dockerfile, compose.yaml and k8s/, the digest
# that the tag has now: what is deployed is then what was tried, even if the tag is moved. Run again, it
# writes the present digests. It changes nothing unless it finds all of them.
#
#   deploy/pin.sh
#
# It asks by crane, by docker buildx, or else by curl; REGISTRY is a registry's mirror to ask by curl.
set -eu
cd "$(dirname "$0")/.."

fail() {
	echo "deploy/pin.sh: $*" >&2
	exit 1
}

# by_curl NAME TAG prints a digest, with a token for anybody where the registry wants one.
by_curl() {
	url=${REGISTRY:-https://registry-1.docker.io}/v2/$1/manifests/$2
	types='Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json'
	headers=$(curl -sS --max-time 20 --head --header "$types" "$url") || return 1
	challenge=$(printf '%s\n' "$headers" | tr -d '\r' | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: *Bearer //p')
	if [ -n "$challenge" ]; then
		part() { printf '%s\n' "$challenge" | sed -n "s/.*$1=\"\([^\"]*\)\".*/\1/p"; }
		token=$(curl -sS --max-time 20 --get --data-urlencode "service=$(part service)" --data-urlencode "scope=repository:$1:pull" "$(part realm)" |
			sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p')
		headers=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
			curl -sS --max-time 20 --config - --head --header "$types" "$url") || return 1
	fi
	printf '%s\n' "$headers" | tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: *//p'
}

# digest IMAGE prints the digest of a tag, for all processors.
digest() {
	if [ -z "${REGISTRY:-}" ] && command -v crane >/dev/null; then
		crane digest "$1"
	elif [ -z "${REGISTRY:-}" ] && docker buildx version >/dev/null 2>&1; then
		docker buildx imagetools inspect "$1" --format '{{println .Manifest.Digest}}'
	elif command -v curl >/dev/null; then
		name=${1%%:*}
		case $name in
		*/*) ;;
		*) name=library/$name ;; # where Docker Hub has those that are its own
		esac
		by_curl "$name" "${1#*:}"
	else
		fail "crane, docker buildx or curl is needed"
	fi
}

files="Dockerfile deploy/compose.yaml $(find deploy/k8s -name '*.yaml' | sort)"
# Images of others: ours is built here, or is in nobody's registry but its operator's.
tagged='([a-z0-9]+/)?[a-z0-9]+:[A-Za-z0-9._-]+'
# shellcheck disable=SC2086 # a list of files
images=$(sed -nE "s#^ *(- )?image: (&[a-z-]+ )?($tagged)(@sha256:[0-9a-f]{64})?\$#\3#p; s#^FROM (--platform=[^ ]+ )?($tagged)(@sha256:[0-9a-f]{64})?( AS .*)?\$#\2#p" $files |
	grep -v '^preceptor:' | sort -u)

script=
for image in $images; do
	found=$(digest "$image") || fail "no registry is in reach that knows $image; nothing was changed"
	printf '%s\n' "$found" | grep -qxE 'sha256:[0-9a-f]{64}' || fail "no registry is in reach that knows $image; nothing was changed"
	name=$(printf '%s' "$image" | sed 's/\./\\./g')
	script="$script
s|( $name)(@sha256:[0-9a-f]{64})?( AS .*)?\$|\1@$found\3|"
	echo "$image@$found"
done
# shellcheck disable=SC2086
sed -i -E "$script" $files
