#!/bin/sh
# Makes the secrets of the compose files, each once: what is there already stays. Postgres keeps the passwords that it began with, so
# to change them remove its volume as well (`cargo xtask down --volumes`).
set -eu

folder=$(dirname "$0")/../../.env.secrets
# The folder keeps everybody else out; the files in it are read by users of containers, by number.
mkdir -p "$folder/worker"
chmod 0700 "$folder"

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
# As JSON web keys spell bytes.
web() { head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
# Whole or not at all, also when this is ended in the middle.
secret() {
    if [ ! -s "$folder/$1" ]; then
        printf '%s' "$2" > "$folder/.$1.$$"
        mv "$folder/.$1.$$" "$folder/$1"
    fi
    chmod 0444 "$folder/$1"
}

# What gateway and control know each other by, and what tokens are signed with.
secret identity-key "$(random 32)"
secret token-keys "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"$(random 4)\",\"alg\":\"HS256\",\"use\":\"sig\",\"k\":\"$(web 32)\"}]}"

# Grafana's `admin`, where compose.observability.yaml is used.
secret grafana-password "$(random 16)"

# With a database that is given there are no passwords to make up.
if [ "${1:-}" != external ]; then
    secret postgres-password "$(random 24)"
    for role in owner deployer app; do
        secret "$role-url" "postgres://slipway_$role:$(random 24)@postgres:5432/slipway"
    done
fi
