# The one command of the task that makes roles. Its file system can't be written to, and libpq reads authorities from a file.
printf '%s\n' "$AUTHORITIES" >/dev/shm/authorities.pem
export PGSSLROOTCERT=/dev/shm/authorities.pem
printf '%s\n' "$SQL" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file -
