# shellcheck shell=bash
# shellcheck disable=SC2034 # changed is read elsewhere
# The machine below Kubernetes: kernel, name, volumes, what a shutdown does.
changed=

# Writes standard input to a file, whole or not at all, and notes in $changed
# when it was not so before. Never the end of a pipe: that is another shell.
put() { # mode, path
  mkdir -p "$(dirname "$2")"
  (umask 077 && cat >"$2.new")
  chmod "$1" "$2.new"
  if cmp -s "$2.new" "$2"; then rm "$2.new"; else mv "$2.new" "$2" && changed=yes; fi
}

# Not by systemd, which then wants all units read anew: seconds on a busy machine.
enable_unit() {
  systemctl --root=/ enable "$1"
  [ "$(systemctl show -p NeedDaemonReload "$1")" = NeedDaemonReload=no ] || systemctl daemon-reload
}

# Tries until it works; the step's limit ends it. On a slow machine asking costs.
try() {
  local pause=1
  until "$@"; do
    sleep $pause
    [ $pause = 5 ] || pause=$((pause + 1))
  done
}

# What this boot alone may know, and no other step; gone when it is over.
secrets() {
  # shellcheck source=/dev/null
  [ ! -e /etc/jeroboam/secrets.env ] || . /etc/jeroboam/secrets.env
}

# SELinux, where there is one, wants to know what was made.
relabel() { ! command -v restorecon >/dev/null || restorecon -R "$@"; }

address() {
  local m
  [ -z "${ADDRESS:-}" ] || { echo "$ADDRESS"; return; }
  for m in ${ETCD_MEMBERS:-}; do
    [ "${m%%=*}" != "${ETCD_MEMBER:-}" ] || { echo "${m#*=}"; return; }
  done
  ip -4 route get "$(getent ahostsv4 "$API_HOST" | awk '{print $1; exit}')" | sed -n 's/.* src \([0-9.]*\).*/\1/p'
}

step_prepare() {
  local own
  put 644 /etc/modules-load.d/jeroboam.conf <<<$'overlay\nbr_netfilter\nvxlan\nnf_conntrack'
  modprobe -a overlay br_netfilter vxlan nf_conntrack
  put 644 /etc/sysctl.d/90-jeroboam.conf <<<$'net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\nfs.inotify.max_user_instances = 8192\nfs.inotify.max_user_watches = 524288\nvm.overcommit_memory = 1'
  sysctl -q --system
  swapoff -a
  [ ! -e /etc/fstab ] || sed -i -E '/^[^#]*[[:space:]]swap[[:space:]]/d' /etc/fstab
  # NetworkManager would take the pods' interfaces for its own.
  [ ! -d /etc/NetworkManager ] || put 644 /etc/NetworkManager/conf.d/jeroboam.conf <<<$'[keyfile]\nunmanaged-devices=interface-name:cni*;interface-name:flannel*;interface-name:cali*;interface-name:veth*;interface-name:tunl*;interface-name:vxlan*'
  # cloud-init has said it already; asking may take longer than D-Bus waits.
  [ "$(</proc/sys/kernel/hostname)" = "$NODE" ] || try hostnamectl set-hostname "$NODE"
  own=$(address)
  [ -n "$own" ] || { echo "this node's address is not known"; return 1; }
  grep -qxF "$own $NODE" /etc/hosts || echo "$own $NODE" >>/etc/hosts
}

# The volume's disk by its serial, the first 20 characters of the id or all.
find_disk() { # volume id
  local disk
  for disk in /dev/disk/by-id/virtio-"${1:0:20}" /dev/disk/by-id/*"${1:0:20}"*; do
    [ -e "$disk" ] && echo "$disk" && return 0
  done
  return 1
}

# Only a disk that is known to be empty (blkid says 2) gets a file system, and one
# with another label is not ours to use.
format() { # volume id, disk, label
  local found status=0
  found=$(blkid -p -s LABEL -o value "$2") || status=$?
  case $status:$found in
    0:"$3") fsck.ext4 -p "$2" || [ $? -lt 4 ] ;;
    0:*) echo "volume $1 has a file system or table that is not $3, but '$found'"; return 1 ;;
    # blkid says 2 as well when there is a file system without a label
    2:*)
      status=0
      blkid -p "$2" || status=$?
      [ $status = 2 ] || { echo "it is not known whether $2 is empty"; return 1; }
      mkfs.ext4 -q -L "$3" "$2" ;;
    *) echo "it is not known whether $2 is empty"; return 1 ;;
  esac
}

# A replaced node boots before its volume has followed: the old server may still
# have it mounted.
volume() { # volume id, label, mount point
  [ -n "$1" ] || return 0
  mkdir -p "$3"
  if ! mountpoint -q "$3"; then
    echo "waiting for the disk of volume $1"
    try find_disk "$1"
    format "$1" "$(find_disk "$1")" "$2"
    grep -q " $3 " /etc/fstab 2>/dev/null || echo "LABEL=$2 $3 ext4 defaults,nofail,x-systemd.device-timeout=600 0 2" >>/etc/fstab
    try mount "$3"
    relabel "$3"
  fi
  # Cinder may have extended the disk since.
  resize2fs "$(find_disk "$1")"
}

step_container_volume() { volume "${CONTAINER_VOLUME:-}" jb-containers /var/lib/containerd; }
step_etcd_volume() { volume "${ETCD_VOLUME:-}" jb-etcd /var/lib/etcd; }

# Stopped before kubelet and etcd, which it is ordered after: pods leave while
# all of it still runs, and etcd then hands over its lead and ends by itself.
step_drain() {
  put 644 /etc/systemd/system/jeroboam-drain.service <<T
[Unit]
Description=Moves pods away when this node shuts down
After=network-online.target containerd.service kubelet.service etcd.service
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /etc/jeroboam/boot/drain.sh start
ExecStop=/bin/bash /etc/jeroboam/boot/drain.sh stop
TimeoutStartSec=infinity
TimeoutStopSec=$((${DRAIN_SECONDS:-120} + 30))
[Install]
WantedBy=multi-user.target
T
  enable_unit jeroboam-drain
  systemctl start --no-block jeroboam-drain
}
