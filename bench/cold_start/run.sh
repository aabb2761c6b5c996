#!/bin/bash
# Exec to the first byte of the first token, of one model: freezes it with a system prompt of
# about 1,000 tokens, renders the same prompt for llama.cpp, and times both in turn.
#
#   bench/cold_start/run.sh MODEL.gguf [FOLDER_OF_LLAMA_PROGRAMS [OPTION OF bench_cold_start ...]]
#
# The model's chat template must be ChatML's, as SmolLM2's is. What is new behind the system prompt
# is "Hello you" and what the template puts around it: 8 tokens, the line break before it included,
# since a stored prefix ends where no question can change its tokens. Leaves JSON and an SVG in
# build/cold-start/.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
readonly source=$(realpath "$1") llama=${2:+$(realpath "$2")}
shift $(($# < 2 ? $# : 2))
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly programs=build/release name=$(basename "$source" .gguf)
readonly folder=build/cold-start
[ -x "$programs/bench/bench_cold_start" ] || {
  echo "run.sh: no $programs/bench/bench_cold_start; run make test first" >&2
  exit 1
}
mkdir -p "$folder"

system=
for _ in $(seq 22); do
  system+='You are a careful assistant of a small museum of natural history. Answer visitors '
  system+='briefly and kindly. The halls are open from nine to six, except on Mondays. The whale '
  system+='hangs in the great hall; the birds are upstairs. '
done
readonly question='Hello you'
printf '<|im_start|>system\n%s<|im_end|>\n<|im_start|>user' "$system" >"$folder/prefix.txt"
printf '<|im_start|>system\n%s<|im_end|>\n<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n' \
  "$system" "$question" >"$folder/prompt.txt"

[ "$folder/$name.thaw" -nt "$programs/thaw" ] || {
  "$programs/thaw" freeze "$source" -o "$folder/$name.thaw" --system "$system" >/dev/null
  "$programs/thaw" freeze "$source" -o "$folder/$name-bare.thaw" >/dev/null
}
readonly event="{\"messages\":[{\"role\":\"system\",\"content\":\"$system\"},{\"role\":\"user\",\
\"content\":\"$question\"}],\"max_tokens\":2,\"temperature\":0,\"stream\":true}"

exec "$programs/bench/bench_cold_start" --bootstrap "${BOOTSTRAP:-$programs/bootstrap}" \
  --empty "$programs/bench/bench_empty" --source "$source" --snapshot "$folder/$name.thaw" \
  --bare "$folder/$name-bare.thaw" --event "$event" --title "$name: exec to first token" \
  --svg "$folder/$name.svg" --json "$folder/$name.json" \
  ${llama:+--llama "$llama" --prompt "$folder/prompt.txt" --prefix "$folder/prefix.txt"} "$@"
