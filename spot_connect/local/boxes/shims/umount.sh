#!/bin/sh
# Undoes what mount did; what the daemon does not know is left to the system's own command.
json() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }
system() { exec "$SPOT_CONNECT_SHIMS/spot-connect-system" umount "$@"; }

lazy=false directory= all=
for word; do
    case "$word" in
        --lazy) lazy=true ;;
        --all) all=1 ;;
        --*) ;;
        -*l*) lazy=true ;;
        -*a*) all=1 ;;
        -*) ;;
        *) directory=$word ;;
    esac
done
[ -n "$directory" ] && [ -z "$all" ] && [ -d "$directory" ] || system "$@"
place=$("$SPOT_CONNECT_SHIMS/spot-connect-place" "$directory") || exit 32
answer=$("$SPOT_CONNECT_SHIMS/spot-connect-ask" umount "{\"target\":\"$(json "$place")\",\"lazy\":$lazy}") || exit 32
case "$answer" in
    *'"status": 0'*) exit 0 ;;
    *'"status": 1'*) system "$@" ;;
    *) echo "umount: $directory: target is busy." >&2; exit 32 ;;
esac
