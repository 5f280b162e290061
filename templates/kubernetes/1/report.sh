# shellcheck shell=bash
# What others get to read: the log, and what Heat is told.
# shellcheck disable=SC2154 # log is boot.sh's

literal() { printf %s "$1" | sed 's/[][\/.*^$]/\\&/g'; }

# The secrets of this boot, as sed commands that hide them wherever they stand: a
# long one by its first 40 characters, as what prints it may cut it. They are read
# in a subshell: no step inherits them. Those of the cloud's configuration stay.
literals() (
  secrets
  {
    printf '%s\n' "${APPCRED_SECRET:-}" "${BOOTSTRAP_KEY:-}" "${PKI:-}"
    [ ! -r /etc/kubernetes/cloud.conf ] || sed -nE 's/^[a-z-]*(secret|password)[[:space:]]*=[[:space:]]*"?([^"]*)"?$/\2/p' /etc/kubernetes/cloud.conf
  } | while read -r value; do
    [ -z "$value" ] || printf 's/%s/***/g\ns/%s[^[:space:]]*/***/g\n' "$(literal "${value:0:200}")" "$(literal "${value:0:40}")"
  done
)

# Hides what follows a word for a secret or stands before the host of a URL,
# tokens of kubeadm's form, private keys (in base64 too) and long base64.
mask() {
  LC_ALL=C sed -u -e "$(literals)" |
    LC_ALL=C sed -u -E 's/\x00//g
    s,LS0tLS1CRUdJTi[A-Za-z0-9+/=]*,***,g
    /-----BEGIN [A-Z ]*(PRIVATE KEY|CONFIG)-----$/,/-----END/c\***
    s/-----BEGIN [A-Z ]*(PRIVATE KEY|CONFIG)-----.*/***/
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
