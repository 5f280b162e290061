# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # CACHE and PACKAGES are build's, OUT is for what makes a part
# What is built is made of parts. A part is a folder of the cache and the key of
# all that it was made from: a part with another key is made anew, beside the old
# one, and takes its place when it is whole.

sums_of() { sha256sum "$@" | sed 's| .*/| |'; }
key() { cat "$CACHE/parts/$1/key"; }

# The function's own text counts, and for what Go builds its version.
part() { # name, keys of what it is made from, function, its arguments
  local name=$1 from=$2 dir=$CACHE/parts/$1 want start=$SECONDS
  shift 2
  want=$( (declare -f "$1" && echo "$from $*" && go version) | sha256sum | cut -d' ' -f1)
  if [ -e "$dir/key" ] && [ "$(cat "$dir/key")" = "$want" ]; then return; fi
  printf '%-56s ' "$name"
  rm -rf "$dir.new"
  mkdir -p "$dir.new"
  # In a process of its own: set -e means nothing left of ||.
  set +e
  (set -e; OUT=$dir.new; "$@" 9>&-) >"$CACHE/log/$name.log" 2>&1 </dev/null
  local status=$?
  set -e
  if [ $status != 0 ]; then
    echo "failed"
    tail -n 20 "$CACHE/log/$name.log" >&2
    echo "$name failed; the whole of it is in $CACHE/log/$name.log" >&2
    exit 1
  fi
  echo "$want" >"$dir.new/key"
  rm -rf "$dir"
  mv "$dir.new" "$dir"
  printf '%4d s %6s\n' $((SECONDS - start)) "$(du -sh --apparent-size "$dir" | cut -f1)"
}

# A part in the place where others look for it. Hard links: nothing is copied, and
# who reads the old one goes on reading it.
publish() { # path below the cache, part
  local at=$CACHE/$1
  if [ -e "$at/key" ] && cmp -s "$at/key" "$CACHE/parts/$2/key"; then return; fi
  mkdir -p "$(dirname "$at")"
  rm -rf "$at.new" "$at.old"
  cp -al "$CACHE/parts/$2" "$at.new"
  [ ! -e "$at" ] || mv "$at" "$at.old"
  mv "$at.new" "$at"
  rm -rf "$at.old"
  echo "$at is new"
}

packages() {
  local p missing=()
  for p in $PACKAGES; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || { echo "these packages are missing: ${missing[*]}" >&2; exit 1; }
  echo "installing ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$CACHE/log/packages.log" 2>&1 ||
    { tail -n 20 "$CACHE/log/packages.log" >&2; exit 1; }
}
