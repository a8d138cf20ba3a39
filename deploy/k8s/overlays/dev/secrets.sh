#!/bin/sh
# Prints the Secrets of a trial, with random passwords. Run it once for each cluster: Postgres
# stores the first passwords.
#
#   deploy/k8s/overlays/dev/secrets.sh | kubectl apply -f -
set -eu

password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# secret NAME KEY=VALUE… prints one.
secret() {
	printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: preceptor\nstringData:\n' "$1"
	shift
	for pair in "$@"; do
		printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"
	done
}

# database SERVICE PASSWORD prints the one that says where the service's database is. There is no TLS to
# it: all pods of a trial are on one node, which the connection does not leave, and policies let nobody else
# connect. docs/kubernetes.md has what production needs.
database() {
	url="postgres://$1:$2@postgres:5432/preceptor?sslmode=disable"
	secret "preceptor-$1-database" "url=$url" "migrate-url=$url"
}

profile=$(password) catalog=$(password) progress=$(password) redis=$(password)
secret postgres "POSTGRES_PASSWORD=$(password)" "PROFILE_PASSWORD=$profile" "CATALOG_PASSWORD=$catalog" "PROGRESS_PASSWORD=$progress"
database profile "$profile"
database catalog "$catalog"
database progress "$progress"
secret redis "password=$redis"
secret preceptor-progress-redis "url=redis://:$redis@redis:6379/0"
secret preceptor-log "PRECEPTOR_LOG_KEY=$(password)$(password)"
