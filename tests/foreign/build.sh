#!/bin/bash
# Builds the functions in Go and Rust, with the libraries that go.sum and Cargo.lock name, into a
# folder.
#   tests/foreign/build.sh FOLDER
set -euo pipefail

readonly rust_minor_min=84 # lambda_runtime's

[ $# -eq 1 ] || {
  echo "foreign: where to? tests/foreign/build.sh FOLDER" >&2
  exit 1
}
mkdir -p "$1/rust"
readonly folder=$(cd "$1" && pwd)
cd "$(dirname "$0")"

rust_minor=$(rustc --version | cut -d . -f 2)
[ "$rust_minor" -ge "$rust_minor_min" ] || {
  echo "foreign: Rust 1.$rust_minor is too old: wanted 1.$rust_minor_min (rustc-web, cargo-web)" >&2
  exit 1
}
(cd go && go build -mod=readonly -trimpath -o "$folder/go" .)
cargo build --manifest-path rust/Cargo.toml --quiet --locked --release --target-dir "$folder/cargo"
cp "$folder/cargo/release/buffered" "$folder/cargo/release/streamed" "$folder/rust/"
