#!/bin/sh
# Writes nats/passwords.env with a random password for every user of users.conf, unless it is there already.
set -eu
umask 077
file="$(dirname "$0")/passwords.env"
if [ -e "$file" ]; then
    echo "$file is there already; remove it first to change every password" >&2
    exit 0
fi
{
    for user in SYS ADMIN INGEST INFER EXPORT METRICS CLIENT ROUTE; do
        # A letter first: the server would read digits alone as a number.
        printf 'NATS_%s_PASSWORD=p%s\n' "$user" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    done
    printf 'GRAFANA_PASSWORD=p%s\n' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
} > "$file"
echo "wrote $file" >&2
