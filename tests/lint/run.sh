#!/usr/bin/env bash
# The rules of the house that a program can check. Each rule prints what breaks it; any breach fails.
set -uo pipefail
cd "$(dirname "$0")/../.."
broken=$(mktemp) # a line for each rule that is broken: `check` ends a pipe, where a variable would be lost
trap 'rm -f "$broken"' EXIT
check() { # TEXT: standard input holds the breaches, one a line
  local lines
  lines=$(cat)
  [[ -z $lines ]] && return
  echo "$1" >>"$broken"
  printf '%s\n' "$1" >&2
  head -40 <<<"$lines" | sed 's/^/  /' >&2
}

# 1. An include only ever points down: a layer may include itself and those before it.
layers=(base wire schema feature model lua policy engine store net)
rank() { local i; for i in "${!layers[@]}"; do [[ ${layers[$i]} == "$1" ]] && { echo "$i"; return; }; done; [[ $1 == cli ]] && echo 99 || echo -1; }
for from in "${layers[@]}" cli; do
  mine=$(rank "$from")
  [[ $from == cli ]] && mine=$(rank store)
  grep -rnoE '#include "[a-z]+/' "core/$from" --include='*.[ch]' | while IFS=: read -r file line text; do
    to=${text#*\"}; to=${to%/}
    theirs=$(rank "$to")
    [[ $to == intentd && $from == cli ]] && continue # the header of plugins, which the tool loads
    [[ $to == "$from" || ($theirs -ge 0 && $theirs -le $mine) ]] || echo "$file:$line: $from includes $to"
  done
done | check "includes must point down (base < wire < schema < feature < model < lua < policy < engine < store < net, cli)"

# 2. A library is wrapped by one layer.
only() { # HEADER-PATTERN LAYER
  grep -rnE "#include <($1)" core --include='*.[ch]' | grep -v "^core/$2/" | check "only core/$2 may include $1"
}
only 'lmdb\.h' store
only 'msgpack' wire
only 'lua\.h|lauxlib\.h|lualib\.h|luajit\.h|lua\.hpp' lua
only 'event2/|event\.h' net
only 'git2' cli
grep -rnE '#include <xgboost/' core | check "only plugins/ (and tests) may include xgboost's headers"
grep -rnE '#include "' plugins core/include --include='*.[ch]' | grep -v '#include "intentd/' | check "plugins and their header know intentd by intentd/plugin.h alone"
[[ -d core/cli ]] && grep -rnE '#include "net/' core/cli | check "core/cli must not include core/net"

# The store reaches its files through one door, where failures are told apart and faults are made (head.c writes elsewhere).
grep -rnE '[^_a-z](pwrite|ftruncate|fsync|fdatasync|unlink|rename|posix_fallocate|file_replace)\(' core/store --include='*.c' |
  grep -vE '^core/store/(disk|disk_faults|head)\.c:|//' | check "core/store changes files through store/disk.h only"

# 3. Every header is included once, and stands at its top for what it is.
grep -rL '#pragma once' core --include='*.h' | check "headers begin with #pragma once"
for file in $(find core plugins -name '*.h'); do head -1 "$file" | grep -q '^//' || echo "$file"; done | check "a header's first line says what it is for"

# 4. Nothing unfinished, and no word of where it was made.
grep -rnE '\b(TODO|FIXME|XXX)\b|not implemented' core plugins scripts policies examples docs README.md --include='*' 2>/dev/null | grep -vE '\.md:.*`' |
  check "unfinished work"
grep -rnE '/work/|/root/' --include='*' core plugins scripts policies tests examples docs README.md dev CMakeLists.txt 2>/dev/null |
  grep -v '^tests/lint/run.sh' | check "paths of one machine"

# 5. libm's transcendental functions are not portable: base/pmath.h instead.
grep -rnE '[^_a-z](exp|exp2|expm1|log|log2|log10|log1p|pow|tanh|sinh|cosh|sin|cos|tan)\(' core plugins --include='*.c' |
  grep -vE 'core/base/pmath|//|"' | check "use base/pmath.h, not libm"

# 6. The formatters and checkers, where they are installed.
if command -v clang-format >/dev/null; then
  find core plugins tests examples -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror 2>&1 | grep -E 'error:' | cut -d: -f1 | sort | uniq -c |
    check "not formatted: ./dev format"
fi
if command -v luacheck >/dev/null; then
  luacheck -q --no-color scripts policies examples tests --exclude-files "tests/hostile/scripts/*.lua" 2>/dev/null | grep -E '^ |:[0-9]+:' | check "luacheck"
fi

if [[ -s $broken ]]; then
  echo "lint: $(wc -l <"$broken") rules broken" >&2
  exit 1
fi
echo "lint: all rules hold"
