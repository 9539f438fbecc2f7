#!/bin/sh
# First start, before the daemon has rendered a configuration: the template stands in for it.
# Both users must write here: the directory is 2770 sluice:mediamtx.
set -eu
config=/var/lib/sluice/mediamtx/mediamtx.yml
if [ ! -e "$config" ]; then
    umask 0007
    cp /etc/sluice/mediamtx.yml "$config.first"
    # -n: a rendered file that came meanwhile wins.
    mv -n "$config.first" "$config"
    rm -f "$config.first"
fi
exec /usr/bin/mediamtx "$config"
