#!/usr/bin/env bash
# The words that a layer's code compares with, as a dictionary for its fuzzers: each as MessagePack text and as JSON text.
#   tests/fuzz/dictionary.sh LAYER...
set -euo pipefail
cd "$(dirname "$0")/../.."
for layer in "$@"; do
  grep -ohE '"[A-Za-z0-9_.@:-]{1,31}"|XX\([a-z_]+\)' core/"$layer"/*.[ch] || true
done | tr -d '"' | sed -E 's/^XX\((.*)\)$/\1/' | LC_ALL=C sort -u | while read -r word; do
  printf '"\\x%02x%s"\n"\\"%s\\""\n' $((0xa0 + ${#word})) "$word" "$word"
done
