#!/bin/sh
# Prints the Secrets of the three roles, with random passwords: for Postgres in one namespace, and the URLs for the
# services in the other. Run it once. The credentials of the bucket, and Redis' URL, are not among them.
#
#   deploy/cloudnative-pg/secrets.sh | kubectl apply -f -
set -eu

password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# secret NAMESPACE NAME TYPE KEY=VALUE… prints one.
secret() {
	printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: %s\nstringData:\n' "$2" "$1" "$3"
	shift 3
	for pair in "$@"; do
		printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"
	done
}

for role in profile catalog progress; do
	secret=$(password)
	secret preceptor-data "role-$role" kubernetes.io/basic-auth "username=$role" "password=$secret"
	# The certificate's authority is mounted by components/database-ca.
	url="postgres://$role:$secret@main-rw.preceptor-data:5432/preceptor?sslmode=verify-full&sslrootcert=/database/ca.crt"
	secret preceptor "preceptor-$role-database" Opaque "url=$url" "migrate-url=$url"
done
secret preceptor preceptor-log Opaque "PRECEPTOR_LOG_KEY=$(password)$(password)"
