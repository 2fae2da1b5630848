#!/bin/sh
# Makes the secrets of compose.yaml, each once: what is there already stays.
set -eu

folder=$(dirname "$0")/../../.env.secrets
# The folder keeps everybody else out; the files in it are read by users of containers, by number.
mkdir -p "$folder"
chmod 0700 "$folder"

password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
secret() {
    [ -s "$folder/$1" ] || printf '%s' "$2" > "$folder/$1"
    chmod 0444 "$folder/$1"
}

secret postgres-password "$(password)"
for role in owner deployer app; do
    secret "$role-url" "postgres://slipway_$role:$(password)@postgres:5432/slipway"
done
