# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154 # CACHE, HERE, OUT and the versions are build's
# The golden base: Debian with cloud-init that reads a config drive, booted by
# QEMU itself (a boot loader is for real clouds), and in it what the mirror has.

# The sources are those of this machine, as apt has them, for another release.
# Nobody reads a manual in a guest.
debian() { # release, mmdebstrap's arguments; the last one: what to write
  local own
  own=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' |
    sed -nE "s/ $own((-updates|-security)? )/ $1\\1/p" | sort -u >"$CACHE/work/sources.list"
  [ -s "$CACHE/work/sources.list" ] || { echo "apt of this machine has no source of Debian $own: apt-get update?"; return 1; }
  mmdebstrap --mode=root --format=auto --dpkgopt='path-exclude=/usr/share/'{doc,man,locale}'/*' "${@:2:$#-2}" "$1" "${!#}" "$CACHE/work/sources.list"
}

# QEMU of the guests' release. With 7.2 an emulated CPU may run what another one is
# rewriting, as kernels do with themselves: "Oops: int3" after seconds of a loop that
# switches sched_schedstats, and in one master's boot of eight; 10.0 bears the loop.
# It comes with its own loader and libraries; the loader has QEMU's name, by which
# ps knows the process.
guest_qemu() { # release
  local usr=$OUT/root/usr
  debian "$1" --variant=extract --include=qemu-system-x86,seabios "$OUT/root"
  install -D -m 755 "$usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$OUT/loader/qemu-system-x86_64"
  cat >"$OUT/qemu-system-x86_64" <<'T'
#!/bin/sh
here=$(dirname "$0")
usr=$here/root/usr
exec "$here/loader/qemu-system-x86_64" --argv0 qemu-system-x86_64 --library-path "$usr/lib/x86_64-linux-gnu" "$usr/bin/qemu-system-x86_64" -L "$usr/share/qemu" -L "$usr/share/seabios" "$@"
T
  chmod 755 "$OUT/qemu-system-x86_64"
  "$OUT/qemu-system-x86_64" --version
}

guest_root() { # release
  local dir=$OUT/root name
  debian "$1" --variant=apt --include="systemd,systemd-sysv,dbus,udev,kmod,procps,util-linux,e2fsprogs,cloud-init,cloud-guest-utils,\
linux-image-cloud-amd64,initramfs-tools,iproute2,iptables,nftables,ebtables,ethtool,conntrack,socat,iputils-ping,netbase,ca-certificates,curl,openssh-server,tcpdump" "$dir"
  cp "$HERE"/guest/*.cfg "$dir/etc/cloud/cloud.cfg.d/"
  install -D -m 644 "$HERE/guest/console.conf" "$dir/etc/systemd/system/jeroboam-boot.service.d/console.conf"
  install -m 644 "$HERE/guest/sched.conf" "$dir/etc/tmpfiles.d/sched.conf"
  install -D -m 644 "$HERE/guest/go.conf" "$dir/etc/systemd/system.conf.d/go.conf"
  echo 'LABEL=root / ext4 defaults,noatime 0 0' >"$dir/etc/fstab"
  : >"$dir/etc/machine-id"
  rm -f "$dir/etc/hostname"
  # Nobody answers there, and says so at once; CoreDNS does not start without a server to ask.
  echo 'nameserver 169.254.169.1' >"$dir/etc/resolv.conf"
  # What no guest here needs: each is a process or more, and a fifth of a boot.
  for name in {apt-daily,apt-daily-upgrade,dpkg-db-backup,e2scrub_all,fstrim,man-db,systemd-tmpfiles-clean}.timer \
    {e2scrub_reap,systemd-networkd-wait-online,systemd-timesyncd,systemd-resolved,ldconfig,kmod-static-nodes}.service \
    systemd-{binfmt,pstore,fsck-root,update-done,journal-catalog-update,tpm2-setup,tpm2-setup-early,rfkill,update-utmp,hibernate-clear,battery-check}.service \
    modprobe@{configfs,drm,efi_pstore,fuse,dm_mod,loop}.service getty@tty1.service systemd-ask-password-{console,wall}.path cloud-init-hotplugd.socket \
    {dev-hugepages,dev-mqueue,run-lock,tmp,sys-kernel-tracing,sys-kernel-config,sys-fs-fuse-connections}.mount proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null "$dir/etc/systemd/system/$name"
  done
  # They run at the boot and whenever units are read anew.
  mkdir -p "$dir/etc/systemd/system-generators"
  for name in debug gpt-auto hibernate-resume rc-local run ssh system-update sysv tpm2; do
    ln -s /dev/null "$dir/etc/systemd/system-generators/systemd-$name-generator"
  done
  echo 'policy: enabled' >"$dir/etc/cloud/ds-identify.cfg" # nothing to identify: 90_jeroboam.cfg has the only one
  chroot "$dir" systemctl enable systemd-networkd
  chroot "$dir" systemctl set-default multi-user.target
  # The drivers of QEMU's disks, and no other.
  printf 'virtio_pci\nvirtio_blk\n' >"$dir/etc/initramfs-tools/modules"
  printf 'MODULES=list\nCOMPRESS=gzip\n' >"$dir/etc/initramfs-tools/conf.d/lean"
  chroot "$dir" update-initramfs -u
  rm -rf "$dir"/var/lib/apt/lists/* "$dir"/var/cache/apt/*
  mv "$dir"/boot/vmlinuz-* "$OUT/vmlinuz"
  mv "$dir"/boot/initrd.img-* "$OUT/initrd"
  rm -f "$dir"/boot/* "$dir"/{vmlinuz,initrd.img}{,.old}
  # Times as they are: Python would compile anew, in every guest, what is not as old as its source was.
  tar --sort=name --numeric-owner --format=gnu -cf "$OUT/root.tar" -C "$dir" .
  rm -rf "$dir"
}

disk() { # folder with the root, what its stamp says
  cp "$CACHE"/parts/root/{vmlinuz,initrd} "$OUT/"
  rm -f "$CACHE/work/disk.img"
  truncate -s 12G "$CACHE/work/disk.img"
  mke2fs -q -t ext4 -L root -E lazy_itable_init=1,lazy_journal_init=1 -d "$1" "$CACHE/work/disk.img"
  qemu-img convert -f raw -O qcow2 "$CACHE/work/disk.img" "$OUT/disk.qcow2"
  rm -rf "$CACHE/work/disk.img" "$1"
  echo "$2" >"$OUT/stamp"
}

unpacked() { # prints the folder with a fresh root
  rm -rf "$CACHE/work/root"
  mkdir -p "$CACHE/work/root"
  tar --numeric-owner -xpf "$CACHE/parts/root/root.tar" -C "$CACHE/work/root"
  echo "$CACHE/work/root"
}

plain_base() {
  local root
  root=$(unpacked)
  disk "$root" "Debian $DEBIAN, nothing of Kubernetes"
}

# What the mirror has but archives, where software.sh looks before it downloads;
# the first version's programs are in their place too. Files are there once: what
# is the same in all versions is one file in the mirror.
golden_base() {
  local root tag first=${KUBE_TAGS%% *} folders=()
  root=$(unpacked)
  for tag in $KUBE_TAGS; do folders+=("mirror-$tag/amd64/"{bin,cni,SHA256SUMS}); done
  mkdir -p "$root/opt/jeroboam" "$root/opt/cni"
  (cd "$CACHE/parts" && cp -a --parents "${folders[@]}" "$root/opt/jeroboam/")
  for tag in $KUBE_TAGS; do
    mv "$root/opt/jeroboam/mirror-$tag/amd64" "$root/opt/jeroboam/$tag"
    rmdir "$root/opt/jeroboam/mirror-$tag"
  done
  cp -al "$root/opt/jeroboam/$first/bin/." "$root/usr/local/bin/"
  cp -al "$root/opt/jeroboam/$first/cni" "$root/opt/cni/bin"
  bake "$root"
  disk "$root" "Debian $DEBIAN, Kubernetes ${KUBE_TAGS// /, }, containerd $CONTAINERD, etcd $ETCD, flannel $FLANNEL"
}

# A containerd of this machine unpacks the images into the guest's folder: neither
# its database nor overlayfs' snapshots have a path in them. The notes are those
# that software.sh leaves when it has imported an archive.
bake() { # root
  local data=$1/var/lib/containerd run pid tag file sum name ctr
  run=$(mktemp -d -p "$CACHE/work")
  ctr="$CACHE/parts/containerd/ctr -a $run/s -n k8s.io images"
  mkdir -p "$data/jeroboam-images"
  cat >"$run/config.toml" <<C
version = 3
root = '$data'
state = '$run/state'
disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime']
[grpc]
  address = '$run/s'
[ttrpc]
  address = '$run/t'
C
  "$CACHE/parts/containerd/containerd" -c "$run/config.toml" >"$run/log" 2>&1 &
  pid=$!
  trap 'kill $pid; wait $pid || :' EXIT
  for _ in $(seq 100); do [ -S "$run/s" ] && break; sleep 0.1; done
  for tag in $KUBE_TAGS; do
    while read -r sum file; do
      case $file in images/*) ;; *) continue ;; esac
      [ ! -e "$data/jeroboam-images/$sum" ] || continue
      file=$CACHE/parts/mirror-$tag/amd64/$file
      $ctr import --local --snapshotter overlayfs "$file"
      name=$(tar -xOf "$file" manifest.json | sed 's/.*"RepoTags":\["\([^"]*\)".*/\1/')
      $ctr label "$name" io.cri-containerd.pinned=pinned
      echo "$name" >"$data/jeroboam-images/$sum"
      chmod 600 "$data/jeroboam-images/$sum"
    done <"$CACHE/parts/mirror-$tag/amd64/SHA256SUMS"
  done
  $ctr ls | awk '{print $1, $4, $5}'
  kill $pid
  wait $pid || :
  trap - EXIT
  rm -rf "$run"
}
