# shellcheck shell=bash
# What others get to read: the log, and what Heat is told.
# shellcheck disable=SC2154 # log is boot.sh's

# One secret of an environment file, as a sed command that hides it wherever it
# stands. It is read in a subshell: no step inherits it.
literal() { # file, name
  [ -r "$1" ] || return 0
  # shellcheck source=/dev/null
  (. "$1" && [ -n "${!2:-}" ] && printf 's/%s/***/g\n' "$(printf %s "${!2}" | sed 's/[][\/.*^$]/\\&/g')") || true
}

# Hides what follows a word for a secret or stands before the host of a URL,
# tokens of kubeadm's form, private keys and long base64.
mask() {
  LC_ALL=C sed -u \
    -e "$(literal /etc/jeroboam/keys.env APPCRED_SECRET)" -e "$(literal /etc/jeroboam/bootstrap.env BOOTSTRAP_TOKEN)" |
    LC_ALL=C sed -u -E 's/\x00//g
    /-----BEGIN [A-Z ]*PRIVATE KEY-----$/,/-----END/c\***
    s/-----BEGIN [A-Z ]*PRIVATE KEY-----.*/***/
    s,(://)[^/@[:space:]]+@,\1***@,g
    s/((token|passw(or)?d|secret|bearer|basic)[^[:space:]=:]*[[:space:]=:]+)[^[:space:]]+/\1***/Ig
    s/\b[a-z0-9]{6}\.[a-z0-9]{16}\b/***/g
    s,[A-Za-z0-9+/=_-]{100\,},***,g'
}

# It is cut last, so that no secret loses its word.
tail_of_log() { mask <"$log" | tail -c 1000; }

# A JSON string's inside, in ASCII: half a character at the cut, or one of four
# bytes, is more than Heat's table takes, and then nobody hears of the failure.
# Neither jq nor python3 is on every image.
escape() { printf %s "$1" | LC_ALL=C tr -c '\12\40-\176' '?' | sed 's/[\\"]/\\&/g' | sed ':a;N;$!ba;s/\n/\\n/g'; }

report() { # status, reason, data
  printf '{"status": "%s", "reason": "%s", "id": "%s", "data": "%s"}\n' \
    "$1" "$(escape "$2")" "$(escape "$NODE")" "$(escape "$3")" | /etc/jeroboam/signal
}

versions() {
  local v
  v="kubelet=$(kubelet --version | awk '{print $2}') containerd=$(containerd --version | awk '{print $3}')"
  [ "$ROLE" != master ] || v="$v etcd=$(etcd --version | awk '/^etcd Version/{print $3}')"
  echo "$v"
}
