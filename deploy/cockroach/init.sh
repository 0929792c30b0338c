#!/bin/sh
# Makes a cluster of three nodes that have just started, and in it the scheduler's database and user. Runs on every
# `up`, and does nothing that is done already.
set -eu

cockroach=${COCKROACH:-/cockroach/cockroach}
node=cockroach-1

tries=60
until said=$("$cockroach" init --insecure --host="$node:26257" 2>&1); do
    case $said in *"already been initialized"*) break ;; esac
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo "the cluster can't be initialized: $said" >&2
        exit 1
    fi
    sleep 1
done

until "$cockroach" sql --insecure --host="$node:5432" --execute="
    CREATE DATABASE IF NOT EXISTS scheduler;
    CREATE USER IF NOT EXISTS scheduler;
    GRANT ALL ON DATABASE scheduler TO scheduler;
    ALTER DATABASE scheduler OWNER TO scheduler;"; do
    tries=$((tries - 1))
    if [ "$tries" -le 0 ]; then
        echo "the database can't be created" >&2
        exit 1
    fi
    sleep 1
done
echo "the cluster is ready"
