#!/bin/sh
# Makes what Postgres and Redis show to the services in deploy/compose.yaml: an authority, and a
# certificate for each server by its name in the network. What is there already is left as it is. The
# authority's key is not kept, so that nobody can make another certificate that the services trust: to
# replace the certificates, remove the three volumes, and everything is made anew.
#
# TLS is the folder with a folder for each volume, SERVERS the user and group that the servers run as.
set -eu
umask 077
tls=${TLS:-/tls} servers=${SERVERS:-999:999}

if [ -s "$tls/authority/ca.crt" ] && [ -s "$tls/postgres/server.key" ] && [ -s "$tls/redis/server.key" ]; then
	exit 0
fi
rm -f "$tls/authority/ca.crt" # which says that all of it is there
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# new ARGUMENTS… makes a key and a certificate that lasts ten years.
new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 "$@" 2>/dev/null; }

new -subj '/CN=Preceptor stores' -keyout "$work/ca.key" -out "$work/ca.crt"
for server in postgres redis; do
	new -CA "$work/ca.crt" -CAkey "$work/ca.key" -subj "/CN=$server" -addext basicConstraints=critical,CA:FALSE \
		-addext "subjectAltName=DNS:$server,IP:127.0.0.1" -keyout "$work/server.key" -out "$work/server.crt"
	rm -f "$tls/$server/server.crt" "$tls/$server/server.key" # which are the server's
	cat "$work/server.crt" >"$tls/$server/server.crt"
	cat "$work/server.key" >"$tls/$server/server.key"
	chmod 644 "$tls/$server/server.crt"
	chown "$servers" "$tls/$server/server.crt" "$tls/$server/server.key"
done
# Last, because the services wait for it. Its folder is read by users of any number.
cat "$work/ca.crt" >"$tls/authority/ca.crt.new"
chmod 644 "$tls/authority/ca.crt.new"
mv "$tls/authority/ca.crt.new" "$tls/authority/ca.crt"
