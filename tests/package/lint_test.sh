#!/bin/bash
# deploy/lambda/template.yaml under cfn-lint, which is fetched from PyPI into a folder of its own.
# Exits 77, which ctest shows as a skipped test, where there is no network.
#   lint_test.sh SOURCE_FOLDER CACHE_FOLDER
set -euo pipefail

readonly source=$1
readonly cache=$2
readonly version=1.58.0
readonly lint=$cache/cfn-lint-$version/bin/cfn-lint

if [ ! -x "$lint" ]; then
  mkdir -p "$cache"
  readonly log=$cache/cfn-lint.log
  # Unfinished, it is made again the next time.
  trap '[ -x "$lint" ] || rm -rf "$cache/cfn-lint-$version"' EXIT
  if ! { python3 -m venv "$cache/cfn-lint-$version" &&
    "$cache/cfn-lint-$version/bin/pip" install --quiet --disable-pip-version-check \
      "cfn-lint[sam]==$version"; } >"$log" 2>&1; then
    echo "lint: cfn-lint could not be had from PyPI: $(tail -n 1 "$log")"
    exit 77
  fi
fi
"$lint" --version
"$lint" "$source/deploy/lambda/template.yaml"
echo "lint: sound"
