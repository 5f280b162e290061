#!/bin/bash
# Makes this machine a Docker host and tells Heat how that went. Every step may
# be run again; the name of a failed one is the first thing that Heat is told.
set -u -o pipefail
# shellcheck source=/dev/null
. /etc/jeroboam/environment
log=/var/log/jeroboam-boot.log
touch "$log" && chmod 600 "$log"

# Heat is told in ASCII: half a character at the cut, or one of four bytes, is
# more than its table takes, and then nobody hears of the failure.
report() { # status, reason
  python3 -c 'import json, os, sys
status, reason, id, data = (os.fsencode(a).decode("ascii", "replace").replace("\ufffd", "?") for a in sys.argv[1:])
print(json.dumps({"status": status, "reason": reason, "id": id, "data": data}))' \
    "$1" "$2" "$(hostname)" "$(docker version --format '{{.Server.Version}}' 2>/dev/null)" | /etc/jeroboam/signal
}

# The end of the log, without what follows a word for a secret or stands before
# the host of a URL. It is cut last, so that no secret loses its word.
tail_of_log() {
  LC_ALL=C sed -E 's/\x00//g
    s,(://)[^/@[:space:]]+@,\1***@,g
    s/((token|passw(or)?d|secret|bearer|basic)[^[:space:]=:]*[[:space:]=:]+)[^[:space:]]+/\1***/Ig' "$log" | tail -c 1000
}

step() { # name, command...
  local name=$1
  shift
  echo "== $name" >>"$log"
  "$@" >>"$log" 2>&1 && return 0
  report FAILURE "step $name failed: $(tail_of_log)"
  exit 1
}

# Docker takes the proxies from the file: in Environment= a % of a URL would be
# a specifier of systemd's.
proxies() {
  [ -n "$HTTP_PROXY$HTTPS_PROXY" ] || return 0
  mkdir -p /etc/systemd/system/docker.service.d &&
    printf '[Service]\nEnvironmentFile=/etc/jeroboam/environment\n' >/etc/systemd/system/docker.service.d/proxy.conf &&
    printf 'Acquire::http::Proxy "%s";\nAcquire::https::Proxy "%s";\n' \
      "$HTTP_PROXY" "${HTTPS_PROXY:-$HTTP_PROXY}" >/etc/apt/apt.conf.d/90jeroboam-proxy
}

# The volume's disk by its serial, the first 20 characters of the id or all.
find_disk() {
  local disk
  for disk in /dev/disk/by-id/*"${VOLUME:0:20}"*; do
    [ -e "$disk" ] && echo "$disk" && return 0
  done
  return 1
}

# A replaced node boots before its volume has followed: wait for the disk. Only
# one that is known to be empty (blkid says 2) gets a file system, and Docker
# does not start on the root disk when the volume is missing at a later boot.
volume() {
  [ -n "$VOLUME" ] || return 0
  local disk
  for _ in $(seq 300); do
    disk=$(find_disk) && break
    sleep 2
  done
  [ -n "$disk" ] || { echo "no disk of volume $VOLUME after 600 s"; return 1; }
  blkid -p "$disk"
  case $? in
    0) ;;
    2) mkfs.ext4 -q -L docker "$disk" || return 1 ;;
    *) echo "it is not known whether $disk is empty"; return 1 ;;
  esac
  mkdir -p /var/lib/docker /etc/systemd/system/docker.service.d || return 1
  grep -q ' /var/lib/docker ' /etc/fstab ||
    echo "$disk /var/lib/docker ext4 defaults,nofail,x-systemd.device-timeout=600 0 2" >>/etc/fstab || return 1
  printf '[Unit]\nRequiresMountsFor=/var/lib/docker\n' >/etc/systemd/system/docker.service.d/volume.conf || return 1
  mountpoint -q /var/lib/docker || mount /var/lib/docker
}

packages() {
  command -v dockerd && return 0
  for _ in 1 2 3 4 5; do
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y docker.io && return 0
    sleep 10
  done
  return 1
}

service() {
  systemctl daemon-reload && systemctl enable docker && systemctl restart docker
}

works() {
  for _ in $(seq 30); do
    docker info && return 0
    sleep 2
  done
  return 1
}

step proxies proxies
step volume volume
step packages packages
step service service
step works works
report SUCCESS "docker is up"
