#!/bin/bash
# Runs every libFuzzer target of a build folder for RUNS inputs each, from its corpus.
#   tests/fuzz/run.sh BUILD RUNS
# What it finds stays in BUILD/fuzzers/NAME.found, and grows from one call to the next.
set -euo pipefail

build=$1
runs=$2
failed=()
shopt -s nullglob
for list in "$build"/fuzzers/*; do
  [ -f "$list" ] || continue
  name=$(basename "$list")
  mapfile -t corpus <"$list"
  mkdir -p "$list.found"
  echo "fuzz: $name, $runs runs"
  log=$list.found.log
  if "$build/tests/fuzz/$name" -runs="$runs" -seed=1 -timeout=20 -rss_limit_mb=2048 \
    -max_len=65536 -print_final_stats=1 -artifact_prefix="$build/fuzzers/" \
    "$list.found" "${corpus[@]}" >"$log" 2>&1; then
    grep -E ' DONE ' "$log" | sed 's/^/  /'
  else
    failed+=("$name")
    tail -n 40 "$log"
  fi
done
[ ${#failed[@]} -eq 0 ] || {
  echo "fuzz: reports in ${failed[*]}; the inputs are $build/fuzzers/crash-*" >&2
  exit 1
}
