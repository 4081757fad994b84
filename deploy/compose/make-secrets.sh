#!/bin/sh
# Makes what is secret, once, into the volume that the services read. Never prints any of it.
set -eu
cd /run/vigia
umask 077
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -s "$1" ] || { printf %s "$2" >"$1.new" && mv "$1.new" "$1"; }; }
keep access_key_id "AKIA$(random 8 | tr 'a-f' 'A-F')"
keep secret_access_key "$(random 20)"
keep internal_token "$(random 32)"
# A Fernet key: 32 bytes, URL-safe base64.
keep secret_key "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
# Seals what lies in the object store. Lost, that is lost too.
keep sealing_key "$(random 32)"
# Named keys, one file <account>.<name> each.
mkdir -p keys
keep postgres_password "$(random 24)"
keep postgres_url "postgresql://vigia:$(cat postgres_password)@postgres:5432/vigia"
keep grafana_password "$(random 12)"
# Services run as 10001, Postgres as 999 and Grafana as 472: the volume is theirs alone, so it may be read in it.
chmod 755 . keys && find . -type f -exec chmod 444 {} +
