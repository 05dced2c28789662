#!/bin/sh
# spot-connect-place DIRECTORY: its true path. A link that stands for a mount is itself the place.
place=$1
while [ "${place%/}" != "$place" ] && [ "$place" != / ]; do place=${place%/}; done
case "$(readlink "$place")" in
    "${SPOT_CONNECT_FILE_SYSTEMS:-/nowhere}"/*)
        case "$place" in */*) folder=${place%/*}/ ;; *) folder=. ;; esac
        folder=$(cd -P -- "$folder" && pwd) && echo "${folder%/}/${place##*/}" ;;
    *) cd -P -- "$place" && pwd ;;
esac
