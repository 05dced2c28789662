#!/bin/sh
# shutdown, poweroff, halt and reboot: the instance is the daemon's, so the daemon is asked.
action=${0##*/}
when=now
dry=
for argument; do
    case "$argument" in
        -r | --reboot) action=reboot ;;
        -P | -p | -h | --poweroff) [ "$action" = reboot ] || action=poweroff ;;
        -H | --halt) action=halt ;;
        -c) cancel=1 ;;
        -k) dry=1 ;;
        now | +[0-9]* | [0-9]* ) when=$argument ;;
        -*) ;;
        *) ;;
    esac
done
[ "$action" = shutdown ] && action=poweroff

state=${SPOT_CONNECT_BOOT:-/tmp}/shutdown.pid
forget() {
    [ -f "$state" ] || return 1
    kill "$(cat "$state")" 2>/dev/null
    rm -f "$state"
}
if [ -n "$cancel" ]; then
    forget
    exit 0
fi
[ -n "$dry" ] && exit 0

ask() { "$SPOT_CONNECT_SHIMS/spot-connect-ask" shutdown "{\"action\":\"$action\"}" >/dev/null; }

case "$when" in
    now | +0) ask; exit $? ;;
    +*) seconds=$((${when#+} * 60)) ;;
    *) seconds=$(($(date -d "$when" +%s) - $(date +%s))); [ "$seconds" -ge 0 ] || seconds=$((seconds + 86400)) ;;
esac
forget
( trap '' HUP; sleep "$seconds"; rm -f "$state"; ask ) </dev/null >/dev/null 2>&1 &
echo $! > "$state"
echo "Shutdown scheduled in $seconds seconds, use 'shutdown -c' to cancel." >&2
