#!/bin/sh
# Only "status": the rest of cloud-init has nothing to do here.
if [ "$1" != status ]; then
    echo "cloud-init: the local cloud knows only 'cloud-init status [--wait]'" >&2
    exit 2
fi
current() { cat "$SPOT_CONNECT_BOOT/status" 2>/dev/null || echo "not run"; }
state=$(current)
for argument; do
    [ "$argument" = --wait ] || continue
    while [ "$state" = running ] || [ "$state" = "not run" ]; do
        printf .
        sleep 0.1
        state=$(current)
    done
    echo
done
echo "status: $state"
[ "$state" != error ]
