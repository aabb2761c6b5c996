#!/bin/bash
# Runs every libFuzzer target of a build folder for RUNS inputs each, from its corpus, as many at a
# time as there are processors, and says how many of its parser's edges were reached.
#   tests/fuzz/run.sh BUILD RUNS [NAME...]
# What it finds stays in BUILD/fuzzers/NAME.found, and grows from one call to the next.
set -euo pipefail

# One target. The edges are those of the functions whose source lies under one of its folders or
# files (its COVERS in tests/fuzz/CMakeLists.txt).
run_target() {
  local build=$1 runs=$2 name=$3
  local found=$build/fuzzers/$name.found log=$build/fuzzers/$name.log
  local corpus covers
  mapfile -t corpus <"$build/fuzzers/$name.list"
  mapfile -t covers <"$build/fuzzers/$name.covers"
  mkdir -p "$found"
  if ! "$build/tests/fuzz/$name" -runs="$runs" -seed=1 -timeout=20 -rss_limit_mb=2048 \
    -max_len=65536 -print_final_stats=1 -print_coverage=1 \
    -artifact_prefix="$build/fuzzers/$name-" "$found" "${corpus[@]}" >"$log" 2>&1; then
    echo "fuzz: $name: a report, at the end of $log; the input is $build/fuzzers/$name-*" >&2
    return 1
  fi
  awk -v name="$name" -v source="$PWD/" -v covers="${covers[*]}" '
    BEGIN { count = split(covers, places, " ") }
    /^#[0-9]+\tDONE/ { for (i = 1; i < NF; ++i) if ($i == "cov:") all = $(i + 1) }
    /number_of_executed_units:/ { runs = $2 }
    /average_exec_per_sec:/ { speed = $2 }
    /^(UN)?COVERED_FUNC: / && match($0, / \/[^ ]*$/) {
      file = substr($0, RSTART + 1)
      # As the compiler was given it: from the root, from the build folder, or through its links.
      if (index(file, source) == 1) file = substr(file, length(source) + 1)
      sub(/^.*\/\.\.\//, "", file)
      sub(/^.*\/roots\/[^\/]*\//, "", file)
      for (i = 1; i <= count; ++i) {
        if (index(file, places[i]) != 1) continue
        split($5, edges, "/")
        reached += edges[1]
        there += edges[2]
        break
      }
    }
    END {
      printf "fuzz: %-16s %7d runs, %5d a second; %5d edges; %d of %d (%.0f %%) in %s\n",
        name, runs, speed, all, reached, there, there ? 100 * reached / there : 0, covers
    }' "$log"
}
export -f run_target

build=$1
runs=$2
shift 2
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for list in "$build"/fuzzers/*.list; do names+=("$(basename "$list" .list)"); done
fi
echo "fuzz: ${#names[@]} targets, $runs runs each; logs in $build/fuzzers"
printf '%s\0' "${names[@]}" |
  xargs -0 -n 1 -P "$(nproc)" bash -c 'run_target "$0" "$1" "$2"' "$build" "$runs"
