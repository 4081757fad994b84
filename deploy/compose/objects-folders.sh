#!/bin/sh
# The object store keeps each bucket as a folder; it wants its roots to exist.
set -eu
mkdir -p /data/buckets /data/versions
