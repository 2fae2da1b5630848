#!/bin/sh
# Gives the three roles the passwords that stand in their addresses. Run once, by the database's first start.
set -eu

# psql reads the password itself: in an argument every process of the machine could see it.
for role in owner deployer app; do
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" \
        --dbname="$POSTGRES_DB" --set=role="slipway_$role" --set=file="/run/secrets/$role-url" <<'SQL'
SET log_statement = 'none';
\setenv FILE :file
\set password `sed -n 's#^[a-z]*://[^:/]*:\([^@]*\)@.*#\1#p' "$FILE"`
ALTER ROLE :"role" PASSWORD :'password';
SQL
done
