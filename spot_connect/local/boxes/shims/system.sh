#!/bin/sh
# spot-connect-system NAME ARGUMENTS: the system's own command, over which one of ours was laid or comes first.
name=$1
shift
rest=/run/spot-connect/system:$PATH:/usr/bin:/bin:/usr/sbin:/sbin:
while [ -n "$rest" ]; do
    folder=${rest%%:*}
    rest=${rest#*:}
    if [ -n "$folder" ] && [ "$folder" != "$SPOT_CONNECT_SHIMS" ] && [ -x "$folder/$name" ]; then
        exec "$folder/$name" "$@"
    fi
done
exit 127
