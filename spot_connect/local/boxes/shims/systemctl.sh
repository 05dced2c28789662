#!/bin/sh
# Laid over systemctl where shutdown and its kin are names of it; everything else goes to the real one.
shims=${SPOT_CONNECT_SHIMS:-/run/spot-connect/bin}
case "${0##*/}" in
    shutdown | poweroff | halt | reboot) exec "$shims/${0##*/}" "$@" ;;
esac
for argument; do
    case "$argument" in
        poweroff | halt | reboot) exec "$shims/$argument" ;;
        -*) ;;
        *) break ;;
    esac
done
exec /run/spot-connect/systemctl "$@"
