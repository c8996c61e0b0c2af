#!/bin/sh
# Leave the line "RUN TASK ATTEMPT" in a file outside the run, and a result; with "wait", end when a file is there.
project=../../../../../../../..
task=$(cd ../.. && basename "$PWD")
echo "$RUN $task $(basename "$PWD")" >>"$project/effects.txt"
turns=3000
while [ "$1" = wait ] && [ ! -e "$project/go" ] && [ $((turns -= 1)) -gt 0 ]; do sleep 0.02; done
echo '{"energy": -1.5}' >result.json
