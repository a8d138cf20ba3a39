#!/usr/bin/env bash
# Restores a backup of Postgres into a database of its own, serves from it on this machine, verifies it,
# and prints how long each step took. Nothing that serves others is touched. docs/drill.md.
#
#   deploy/drill.sh postgres://postgres@scratch.example.org:5432 preceptor.dump
#
# The server is named without a database; PGPASSWORD and the other variables of libpq count. Several dumps
# are restored in the order given. Variables:
#
#   PRECEPTOR  the program (preceptor)
#   OPTIONS    what comes after the ? of a database URL (sslmode=prefer)
#   HEADS      heads that `preceptor audit verify` printed before the backup was made, to be found again
#   DATABASE   the name of the database, which must not exist (preceptor_drill); it is dropped in the end
#   PORTS      five free ports, for profile, catalog, progress, the gateway and its health page
#              (17001 17002 17003 17080 17081)
#
# It needs psql and pg_restore. Exit codes: 0 the backup is good, 2 usage, else it is not, or a step failed.
set -euo pipefail

if [ $# -lt 2 ]; then
	sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
fi
server=${1%/}
shift
program=${PRECEPTOR:-preceptor}
options=${OPTIONS:-sslmode=prefer}
database=${DATABASE:-preceptor_drill}
read -r profile catalog progress gateway health <<<"${PORTS:-17001 17002 17003 17080 17081}"
for name in "${!PRECEPTOR_@}"; do
	unset "$name" # of another installation
done

work=$(mktemp -d)
made=
finish() {
	code=$?
	trap - EXIT
	if [ "$code" = 2 ]; then
		code=1 # of a step
	fi
	local pid
	for pid in $(jobs -p); do
		kill "$pid" 2>/dev/null || true
	done
	wait
	if [ -n "$made" ]; then
		psql --quiet --set=ON_ERROR_STOP=1 --command="DROP DATABASE \"$database\" WITH (FORCE)" --dbname="$server/postgres?$options" ||
			echo "the database $database is left: drop it by hand" >&2
	fi
	if [ "$code" != 0 ]; then
		echo "the drill FAILED; the last lines of the services:" >&2
		tail -n 5 "$work"/*.log >&2 || true
	fi
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT

total=0
# step NAME COMMAND… runs a command, and prints how long it took.
step() {
	local name=$1 began=$EPOCHREALTIME took
	shift
	"$@"
	took=$(awk "BEGIN {printf \"%.1f\", $EPOCHREALTIME - $began}")
	total=$(awk "BEGIN {printf \"%.1f\", $total + $took}")
	printf '%-16s %8s s\n' "$name" "$took"
}

sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$1" --dbname="$server/$database?$options"; }
url() { printf '%s' "$server/$database?$options&search_path=$1"; }

restore() {
	local dump
	for dump; do
		pg_restore --exit-on-error --no-owner --no-privileges --jobs=4 --dbname="$server/$database?$options" "$dump"
	done
}

migrate() {
	local service
	for service in profile catalog progress; do
		PRECEPTOR_DATABASE_URL=$(url $service) "$program" migrate $service >"$work/migrate-$service.log" 2>&1
	done
}

serve() {
	local service=$1
	shift
	"$program" serve "$service" --data "$work/data" --drain-delay 0s "$@" >"$work/$service.log" 2>&1 &
}

# ready starts the four services, and waits until the gateway finds nothing missing.
ready() {
	local at=127.0.0.1 end=$((SECONDS + 300))
	PRECEPTOR_DATABASE_URL=$(url catalog) serve catalog --listen $at:"$catalog" --progress-addr $at:"$progress" --starter=false
	PRECEPTOR_DATABASE_URL=$(url profile) serve profile --listen $at:"$profile" --catalog-addr $at:"$catalog"
	PRECEPTOR_DATABASE_URL=$(url progress) serve progress --listen $at:"$progress" --catalog-addr $at:"$catalog" --profile-addr $at:"$profile"
	serve gateway --http $at:"$gateway" --health-addr $at:"$health" --profile-addr $at:"$profile" --catalog-addr $at:"$catalog" --progress-addr $at:"$progress"
	until "$program" healthcheck --url "http://$at:$health/readyz" 2>/dev/null | grep -q '"status": *"ready"'; do
		if [ "$(jobs -pr | wc -l)" != 4 ] || [ $SECONDS -gt $end ]; then
			echo "a service does not start" >&2
			return 1
		fi
		sleep 0.2
	done
}

verify() { "$program" "$@" --server "http://127.0.0.1:$gateway" --data "$work/data"; }
heads() {
	if [ -n "${HEADS:-}" ]; then
		verify audit verify --expect "$HEADS"
	else
		verify audit verify
	fi
}

psql --quiet --set=ON_ERROR_STOP=1 --command="CREATE DATABASE \"$database\"" --dbname="$server/postgres?$options"
made=yes
mkdir "$work/data"
printf '%-16s %8s MB\n' dumps "$(du --total --block-size=1 "$@" | awk 'END {printf "%.1f", $1 / 1e6}')"
step restore restore "$@"
step migrate migrate
step 'four services' ready
step 'progress verify' verify progress verify
step 'audit verify' heads
printf '%-16s %8s s\n' 'in all (RTO)' "$total"
printf '%-16s %8s MB\n' database "$(sql 'SELECT round(pg_database_size(current_database()) / 1e6, 1)')"
printf '%-16s %8s\n' 'log entries' "$(sql 'SELECT count(*) FROM progress.learner_log')"
printf '%-16s %s\n' 'newest of them' "$(sql "SELECT coalesce(to_char(to_timestamp(max(received_at) / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', 'none') FROM progress.learner_log")"
echo 'the backup is good'
