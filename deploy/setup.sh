#!/bin/bash
# Installs the Debian packages that a task needs, and does nothing where they are there.
#   deploy/setup.sh SET...     sets: build model test cross coverage fuzz clients foreign
set -euo pipefail

fail() {
  echo "setup: $*" >&2
  exit 1
}

packages_of() {
  case "$1" in
    build)
      echo cmake ninja-build g++ libboost1.81-dev libspdlog-dev libfmt-dev nlohmann-json3-dev \
        libcli11-dev libutf8proc-dev libxxhash-dev libyaml-cpp-dev libopenblas-serial-dev
      ;;
    model) echo python3-pip ca-certificates ;;
    test)
      echo libgtest-dev libgmock-dev googletest libbenchmark-dev libpcre2-dev libsimde-dev \
        zlib1g-dev
      ;;
    cross)
      echo qemu-user-static
      # An arm64 machine's own compiler has the cross compiler's name.
      if [ "$(uname -m)" = x86_64 ]; then
        echo g++-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++-12-dev-arm64-cross
      fi
      ;;
    coverage) echo gcovr ;;
    clients)
      echo python3-venv curl
      # Node of another source has npm inside.
      command -v npm >/dev/null || echo nodejs npm
      ;;
    foreign)
      echo python3
      # Toolchains of another source serve as well.
      command -v go >/dev/null || echo golang-go
      command -v cargo >/dev/null || echo rustc-web cargo-web
      ;;
    fuzz) echo clang-14 libclang-rt-14-dev llvm-14 ;;
    *) fail "no set of packages is called '$1'" ;;
  esac
}

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

[ $# -gt 0 ] || fail "which of: build, model, test, cross, coverage, fuzz, clients, foreign?"
wanted=()
for set_name in "$@"; do
  listed=$(packages_of "$set_name")
  mapfile -t names < <(tr -s ' ' '\n' <<<"$listed")
  wanted+=("${names[@]}")
done

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  fail "this is not Debian: install what these Debian packages hold by hand: ${wanted[*]}"

missing=()
for name in "${wanted[@]}"; do
  is_installed "$name" || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=(sudo)
  else
    fail "neither root nor sudo: let an administrator run: apt-get install ${missing[*]}"
  fi
fi

# The cross compilers and Boost are the large ones; unpacked, everything together is about 1.3 GB.
mb_wanted=1500
mb_free=$(($(df --output=avail -k /usr | tail -n 1) / 1024))
[ "$mb_free" -ge "$mb_wanted" ] ||
  fail "no space: $mb_free MB free on /usr, $mb_wanted MB wanted; make room and try again"

echo "setup: installing ${#missing[@]} packages: ${missing[*]}"
options=(-q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2)
updated=yes
"${as_root[@]}" apt-get "${options[@]}" -o APT::Update::Error-Mode=any update || updated=no
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get "${options[@]}" install --no-install-recommends "${missing[@]}"; then
  [ "$updated" = yes ] ||
    fail "no network: the package lists could not be fetched; see apt-get's lines above"
  fail "apt-get could not install all of: ${missing[*]}; see its lines above"
fi
