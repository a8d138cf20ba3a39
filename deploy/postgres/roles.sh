#!/bin/sh
# Makes a role for each service, in one database. Each may make its schema there, which
# `preceptor migrate` does, and sees nothing of the others'. The images of Postgres run this once,
# when the data folder is new; elsewhere it is to be run by hand, as a superuser:
#
#   POSTGRES_USER=postgres POSTGRES_DB=preceptor PROFILE_PASSWORD=… CATALOG_PASSWORD=… PROGRESS_PASSWORD=… roles.sh
set -eu

# role NAME PASSWORD makes one.
role() {
	psql --no-psqlrc --set ON_ERROR_STOP=1 --set role="$1" --set password="$2" --set db="$POSTGRES_DB" \
		--username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<-'SQL'
		CREATE ROLE :"role" LOGIN PASSWORD :'password';
		GRANT CONNECT, CREATE, TEMPORARY ON DATABASE :"db" TO :"role";
	SQL
}

psql --no-psqlrc --set ON_ERROR_STOP=1 --set db="$POSTGRES_DB" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<-'SQL'
	REVOKE ALL ON DATABASE :"db" FROM PUBLIC;
SQL
role profile "$PROFILE_PASSWORD"
role catalog "$CATALOG_PASSWORD"
role progress "$PROGRESS_PASSWORD"
