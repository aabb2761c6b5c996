#!/bin/bash
# Runs every libFuzzer target of a build folder for RUNS inputs each, from its corpus.
#   tests/fuzz/run.sh BUILD RUNS
# What it finds stays in BUILD/fuzzers/NAME.found, and grows from one call to the next.
set -euo pipefail

build=$1
runs=$2
failed=()
shopt -s nullglob
for list in "$build"/fuzzers/*.list; do
  name=$(basename "$list" .list)
  mapfile -t corpus <"$list"
  found=$build/fuzzers/$name.found
  log=$build/fuzzers/$name.log
  mkdir -p "$found"
  echo "fuzz: $name, $runs runs"
  if "$build/tests/fuzz/$name" -runs="$runs" -seed=1 -timeout=20 -rss_limit_mb=2048 \
    -max_len=65536 -print_final_stats=1 -artifact_prefix="$build/fuzzers/" \
    "$found" "${corpus[@]}" >"$log" 2>&1; then
    grep -F DONE "$log"
  else
    failed+=("$name")
    tail -n 40 "$log"
  fi
done
[ ${#failed[@]} -eq 0 ] || {
  echo "fuzz: reports in ${failed[*]}; the inputs are $build/fuzzers/crash-*" >&2
  exit 1
}
