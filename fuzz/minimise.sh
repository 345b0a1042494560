#!/usr/bin/env bash
# Reduce corpora to the smallest sets of inputs that reach as much: ./minimise.sh TARGET...
# Inputs with names of their own (not a hash) are kept: each once broke a rule, and its name says which.
set -euo pipefail
cd "$(dirname "$0")"
for target; do
    new=$(mktemp -d)
    find "corpus/$target" -type f ! -regex '.*/[0-9a-f]+' -exec cp -t "$new" {} +
    cargo fuzz run -s none "$target" -- -merge=1 -max_len=1024 "$new" "corpus/$target"
    rm -r "corpus/$target"
    mv "$new" "corpus/$target"
    chmod 755 "corpus/$target"
done
