#!/bin/sh
# The box's user is the only one there is: options are dropped, the command runs as it is.
while [ $# -gt 0 ]; do
    case "$1" in
        --) shift; break ;;
        -u | -g | -p | -C | -h | -r | -t | -D | -R | -T | --user | --group | --prompt | --chdir)
            [ $# -ge 2 ] || { echo "sudo: option requires an argument -- '${1#-}'" >&2; exit 1; }
            shift 2 ;;
        -[AbEHnPSis]*[ug])
            # Flags in one word whose last one takes an argument, as in -iu ec2-user.
            case "$1" in *i*) login=1 ;; *s*) shell=1 ;; esac
            shift 2 ;;
        -v | -k | -K | --validate | --reset-timestamp | --remove-timestamp) validate=1; shift ;;
        -l | --list) echo "User $(id -un) may run the following commands on $(uname -n):"; echo "    (ALL) NOPASSWD: ALL"; exit 0 ;;
        -V | --version) echo "Sudo version 1.8.23 (spot-connect local cloud)"; exit 0 ;;
        -i | --login) login=1; shift ;;
        -s | --shell) shell=1; shift ;;
        -*) shift ;;
        [A-Za-z_]*=*) export "$1"; shift ;;
        *) break ;;
    esac
done
while [ $# -gt 0 ]; do
    case "$1" in
        [A-Za-z_]*=*) export "$1"; shift ;;
        *) break ;;
    esac
done
if [ $# -eq 0 ]; then
    [ -n "$login" ] && exec "${SHELL:-/bin/sh}" -l
    [ -n "$shell" ] && exec "${SHELL:-/bin/sh}"
    [ -n "$validate" ] && exit 0
    echo "usage: sudo [-EHins] [-u user] [VAR=value] command" >&2
    exit 1
fi
# -i and -s hand the command to a shell, as one string whose every word is what it was.
if [ -n "$login" ]; then exec "${SHELL:-/bin/sh}" -l -c 'exec "$@"' sudo "$@"; fi
command -v -- "$1" >/dev/null 2>&1 || { echo "sudo: $1: command not found" >&2; exit 1; }
exec "$@"
