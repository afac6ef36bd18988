# The one command of the task that makes roles. Its file system can't be written to, and libpq reads authorities from a file.
printf '%s\n' "$AUTHORITIES" >/dev/shm/authorities.pem
export PGSSLROOTCERT=/dev/shm/authorities.pem
# psql ends with 2 if it isn't let in: RDS takes a moment, at times minutes, until the administrator's new password is in force.
for _ in $(seq 60); do
    code=0
    printf '%s\n' "$SQL" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file - || code=$?
    [ "$code" -eq 2 ] || break
    sleep "${EVERY:-5}"
done
exit "$code"
