#!/bin/sh
# spot-connect-ask VERB JSON: what the daemon answers, on standard output; the status is 1 when it does not.
url="${SPOT_CONNECT_CONTROL%/}/instances/${SPOT_CONNECT_BOX}/$1"
body=$2

by_hand() {
    address=${url#http://}
    path=/${address#*/}
    address=${address%%/*}
    URL_HOST=${address%:*} URL_PORT=${address##*:} URL_PATH=$path BODY=$body LC_ALL=C bash -c '
        exec 3<>"/dev/tcp/$URL_HOST/$URL_PORT" || exit 1
        printf "POST %s HTTP/1.0\r\nHost: %s:%s\r\nX-Spot-Connect-Token: %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s" \
            "$URL_PATH" "$URL_HOST" "$URL_PORT" "$SPOT_CONNECT_BOX_TOKEN" "${#BODY}" "$BODY" >&3
        read -r _ status _ <&3
        case "$status" in 2*) ;; *) exit 1 ;; esac
        while read -r line && [ "$line" != "$(printf "\r")" ]; do :; done <&3
        IFS= read -r -d "" answer <&3
        printf "%s" "$answer"'
}

if command -v curl >/dev/null 2>&1; then
    # The token comes on standard input: a command line is everybody's to read.
    printf 'header = "X-Spot-Connect-Token: %s"\n' "$SPOT_CONNECT_BOX_TOKEN" |
        curl -sS -f -K - -X POST -H 'Content-Type: application/json' --data "$body" --noproxy '*' "$url"
elif command -v python3 >/dev/null 2>&1; then
    URL=$url BODY=$body python3 -c '
import os, sys, urllib.request as web
request = web.Request(os.environ["URL"], os.environ["BODY"].encode("utf-8", "surrogateescape"), {
    "X-Spot-Connect-Token": os.environ["SPOT_CONNECT_BOX_TOKEN"], "Content-Type": "application/json"})
sys.stdout.write(web.build_opener(web.ProxyHandler({})).open(request, timeout=30).read().decode())'
else
    by_hand
fi && exit
echo "the local cloud did not answer at $url" >&2
exit 1
