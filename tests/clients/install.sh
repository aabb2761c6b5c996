#!/bin/bash
# Installs the clients, at their pinned versions, into a folder; does nothing where they are there.
#   tests/clients/install.sh FOLDER
set -euo pipefail

readonly python_packages=(openai==3.54.0 boto3==1.44.5)
readonly aws_packages=(awscli==1.46.3)  # apart: it wants a botocore of its own
readonly node_packages=(openai@6.49.0 ai@6.0.326 @ai-sdk/openai-compatible@2.0.87
  @aws-sdk/client-lambda@3.1164.0)
readonly node_major_min=18

fail() {
  echo "clients: $*" >&2
  exit 1
}

[ $# -eq 1 ] || fail "where to? tests/clients/install.sh FOLDER"
mkdir -p "$1"
cd "$1"
readonly wanted="${python_packages[*]} ${aws_packages[*]} ${node_packages[*]}"
if [ -f installed ] && [ "$(cat installed)" = "$wanted" ]; then exit 0; fi

node_major=$(node --version | tr -d v | cut -d . -f 1)
[ "$node_major" -ge "$node_major_min" ] ||
  fail "Node $node_major is too old for these clients: wanted $node_major_min or newer"

echo "clients: installing $wanted"
rm -rf python aws node installed
python3 -m venv python
python/bin/python -m pip install --quiet --disable-pip-version-check "${python_packages[@]}" ||
  fail "pip could not install ${python_packages[*]}; check the network"
python3 -m venv aws
aws/bin/python -m pip install --quiet --disable-pip-version-check "${aws_packages[@]}" ||
  fail "pip could not install ${aws_packages[*]}; check the network"
mkdir node
echo '{"private": true}' >node/package.json
(cd node && npm install --no-audit --no-fund --silent --save-exact "${node_packages[@]}") ||
  fail "npm could not install ${node_packages[*]}; check the network"
echo "$wanted" >installed
