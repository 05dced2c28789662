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

url="${SPOT_CONNECT_CONTROL%/}/instances/${SPOT_CONNECT_BOX}/shutdown"
body="{\"action\":\"$action\"}"

by_hand() {
    address=${url#http://}
    path=/${address#*/}
    address=${address%%/*}
    URL_HOST=${address%:*} URL_PORT=${address##*:} URL_PATH=$path BODY=$body bash -c '
        exec 3<>"/dev/tcp/$URL_HOST/$URL_PORT" || exit 1
        printf "POST %s HTTP/1.0\r\nHost: %s:%s\r\nX-Spot-Connect-Token: %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s" \
            "$URL_PATH" "$URL_HOST" "$URL_PORT" "$SPOT_CONNECT_BOX_TOKEN" "${#BODY}" "$BODY" >&3
        read -r _ status _ <&3
        case "$status" in 2*) exit 0 ;; esac
        exit 1'
}

ask() {
    if command -v curl >/dev/null 2>&1; then
        # The token comes on standard input: a command line is everybody's to read.
        printf 'header = "X-Spot-Connect-Token: %s"\n' "$SPOT_CONNECT_BOX_TOKEN" |
            curl -sS -f -K - -X POST -H 'Content-Type: application/json' --data "$body" --noproxy '*' "$url" >/dev/null
    elif command -v python3 >/dev/null 2>&1; then
        URL=$url BODY=$body python3 -c '
import os, urllib.request as web
request = web.Request(os.environ["URL"], os.environ["BODY"].encode(), {
    "X-Spot-Connect-Token": os.environ["SPOT_CONNECT_BOX_TOKEN"], "Content-Type": "application/json"})
web.build_opener(web.ProxyHandler({})).open(request, timeout=30).read()'
    else
        by_hand
    fi || { echo "$action: the local cloud did not answer at $url" >&2; return 1; }
}

case "$when" in
    now | +0) ask; exit $? ;;
    +*) seconds=$((${when#+} * 60)) ;;
    *) seconds=$(($(date -d "$when" +%s) - $(date +%s))); [ "$seconds" -ge 0 ] || seconds=$((seconds + 86400)) ;;
esac
forget
( trap '' HUP; sleep "$seconds"; rm -f "$state"; ask ) </dev/null >/dev/null 2>&1 &
echo $! > "$state"
echo "Shutdown scheduled in $seconds seconds, use 'shutdown -c' to cancel." >&2
