#!/bin/bash
# The whole way once: freezes SmolLM2 into a snapshot, starts the emulator, sends an API Gateway
# event to the real `bootstrap`, prints the streamed answer and where the time went.
set -euo pipefail

fail() {
  echo "demo: $*" >&2
  exit 1
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly model=models/SmolLM2-135M-Instruct.Q4_1.gguf
readonly folder=build/demo
readonly snapshot=$folder/smollm2.thaw
readonly thaw=build/release/thaw
[ -x "$thaw" ] && [ -x build/release/bootstrap ] || fail "no programs; run make build first"
[ -f "$model" ] || fail "no model; run make model first"
mkdir -p "$folder"

readonly system='You are a patient teacher. You explain what children ask in plain words, with one
picture from everyday life, and you never write more than three sentences.'
if [ ! -f "$snapshot" ] || [ "$model" -nt "$snapshot" ] || [ "$thaw" -nt "$snapshot" ]; then
  echo "\$ thaw freeze $model -o $snapshot --system 'You are a patient teacher. [...]'"
  "$thaw" freeze "$model" -o "$snapshot" --system "${system//$'\n'/ }"
  echo
fi

echo "\$ thaw emulate $snapshot"
: >"$folder/emulator.log"
"$thaw" emulate "$snapshot" --port 0 2>"$folder/emulator.log" &
emulator=$!
trap 'kill "$emulator" 2>/dev/null || true; wait "$emulator" 2>/dev/null || true' EXIT
url=
for _ in $(seq 100); do
  url=$(grep -o -m 1 'on http://[^;]*' "$folder/emulator.log" | cut -c 4- || true)
  [ -z "$url" ] || break
  kill -0 "$emulator" 2>/dev/null || fail "the emulator ended: $(tail -n 1 "$folder/emulator.log")"
  sleep 0.1
done
[ -n "$url" ] || fail "the emulator did not start; see $folder/emulator.log"
echo "  $url: Lambda's APIs, real bootstrap processes behind them"
echo
echo "an API Gateway event (deploy/demo_event.json), answered as it streams:"
echo
/usr/bin/python3 deploy/demo_client.py "$url" smollm2 deploy/demo_event.json "$folder/emulator.log"
echo
grep -E -o '(START|END|REPORT) RequestId.*' "$folder/emulator.log"
