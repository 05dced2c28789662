#!/bin/sh
# File systems of EFS are the daemon's to mount; everything else is left to the system's own command.
name=${0##*/}
case "$name" in mount.*) kind=${name#mount.} ;; *) kind= ;; esac

system() {
    [ "$name" = mount ] || fail "$source is not a file system of the local cloud"
    exec "$SPOT_CONNECT_SHIMS/spot-connect-system" mount "$@"
}
fail() {
    echo "mount.${kind:-nfs4}: $1" >&2
    exit 32
}
json() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }

count=$#
source= directory= options=
while [ "$count" -gt 0 ]; do
    word=$1
    shift; set -- "$@" "$word"; count=$((count - 1))
    case "$word" in
        -t | --types | -o | --options)
            [ "$count" -gt 0 ] || continue
            value=$1
            shift; set -- "$@" "$value"; count=$((count - 1))
            case "$word" in -t | --types) kind=$value ;; *) options=$options,$value ;; esac ;;
        -t?*) kind=${word#-t} ;;
        -o?*) options=$options,${word#-o} ;;
        --types=*) kind=${word#*=} ;;
        --options=*) options=$options,${word#*=} ;;
        -*) ;;
        *) if [ -z "$source" ]; then source=$word; else directory=$word; fi ;;
    esac
done
if [ -z "$kind" ]; then case "$source" in *:/*) kind=nfs4 ;; fs-*) kind=efs ;; esac; fi
case "$kind" in nfs | nfs4 | efs) ;; *) system "$@" ;; esac
[ -n "$directory" ] || system "$@"

[ -e "$directory" ] || fail "mount point $directory does not exist"
[ -d "$directory" ] || fail "mount point $directory is not a directory"
case ",$options," in *,ro,*) fail "the local cloud cannot mount read-only" ;; esac
directory=$("$SPOT_CONNECT_SHIMS/spot-connect-place" "$directory") || exit 32
answer=$("$SPOT_CONNECT_SHIMS/spot-connect-ask" mount \
    "{\"source\":\"$(json "$source")\",\"kind\":\"$kind\",\"target\":\"$(json "$directory")\"}") ||
    fail "Connection refused"
said=$(printf '%s' "$answer" | sed -n 's/.*"said": "\([^"]*\)".*/\1/p')
[ -z "$said" ] || fail "$said"
