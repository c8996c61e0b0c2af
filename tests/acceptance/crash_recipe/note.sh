#!/bin/sh
# Leave a line in a file outside the run, and the line's token in the context.
token=$(cat /proc/sys/kernel/random/uuid)
echo "$RUN outside $token" >>effects.txt
printf '{"status": "ok", "outputs": {"notes.outside_v1": "%s"}}\n' "$token"
