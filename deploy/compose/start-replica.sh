#!/bin/sh
# Copies the primary the first time, and follows it.
set -eu
PGDATA=${PGDATA:-/var/lib/postgresql/data}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD
    pg_basebackup --host "$PRIMARY" --username "$POSTGRES_USER" --pgdata "$PGDATA" --write-recovery-conf \
        --wal-method stream --checkpoint fast
    chmod 0700 "$PGDATA"
fi
exec postgres -D "$PGDATA" -c 'listen_addresses=*'
