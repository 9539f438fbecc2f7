#!/bin/sh
# Main process of the encoders' container. The init of a container ends as soon as its one child
# ends, and every process goes with it; so that child must be this loop, not the host. A killed or
# crashed host is started again and its encoders never notice.
# SIGTERM (the container stops) ends the host; the container then ends its encoders.
set -u
umask 0007
host=
stopping=
trap 'stopping=1; [ -z "$host" ] || kill -TERM "$host" 2>/dev/null' TERM INT
while [ -z "$stopping" ]; do
    "$@" &
    host=$!
    wait "$host"
    code=$?
    if [ -z "$stopping" ]; then
        echo "level=warn msg=\"encoder host ended, starting the next\" code=$code" >&2
        sleep 1
    fi
done
# wait was interrupted by the signal: now wait for the host itself.
wait "$host" 2>/dev/null
exit 0
