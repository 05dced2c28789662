#!/bin/sh
# A link that stands for a mount is a mount point; the system's own command knows about the rest.
for directory; do :; done
quiet=
case "$1" in -q | --quiet) quiet=1 ;; esac
if [ -n "$SPOT_CONNECT_FILE_SYSTEMS" ] && [ -n "$directory" ]; then
    place=${directory%/}
    case "$(readlink "$place")" in
        "$SPOT_CONNECT_FILE_SYSTEMS"/*)
            [ -n "$quiet" ] || echo "$directory is a mountpoint"
            exit 0 ;;
    esac
fi
exec "$SPOT_CONNECT_SHIMS/spot-connect-system" mountpoint "$@"
