# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154 # CACHE, OUT and the versions are build's
# Images without a registry: archives as "docker save" writes them, of plain
# layers, as an emulated CPU has no time to unpack. The same files give the same
# bytes.

archive() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu "$@"; }

# A layer with one program.
layer() { # file to write, program, its path in the image
  local dir
  dir=$(mktemp -d -p "$CACHE/work")
  chmod 755 "$dir"
  install -D -m 755 "$2" "$dir/$3"
  archive -cf "$1" -C "$dir" "${3%%/*}"
  rm -rf "$dir"
}

image() { # file to write, name, entry point or nothing, layers...
  local file=$1 name=$2 entry=$3 dir id ids='' paths='' config layers=()
  shift 3
  dir=$(mktemp -d -p "$CACHE/work")
  for layer; do
    id=$(sha256sum <"$layer" | cut -d' ' -f1)
    ln "$layer" "$dir/$id.tar"
    layers+=("$id.tar") ids="$ids${ids:+,}\"sha256:$id\"" paths="$paths${paths:+,}\"$id.tar\""
  done
  printf '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","GOMAXPROCS=1","GOGC=300"]%s},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "${entry:+,\"Entrypoint\":[\"$entry\"]}" "$ids" >"$dir/config"
  config=$(sha256sum <"$dir/config" | cut -d' ' -f1)
  mv "$dir/config" "$dir/$config.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":[%s]}]' "$config" "$name" "$paths" >"$dir/manifest.json"
  archive -cf "$file" -C "$dir" manifest.json "$config.json" "${layers[@]}"
  rm -rf "$dir"
}

# The layer below those that set up networks: nft, iptables, and busybox under its
# applets' names. Nothing in it is configured: names that a maintainer script would
# have made are made here.
image_root() { # release
  local dir=$OUT/root name applets
  debian "$1" --variant=extract --include=nftables,iptables,conntrack,kmod,ipset,busybox "$dir"
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$dir/$name"; done
  for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do ln -sf xtables-nft-multi "$dir/usr/sbin/$name"; done
  applets=$(chroot "$dir" /bin/busybox --list)
  for name in $applets; do
    [ -e "$dir/usr/bin/$name" ] || [ -e "$dir/usr/sbin/$name" ] || ln -s busybox "$dir/usr/bin/$name"
  done
  for name in sh cp nslookup wget httpd; do grep -qx "$name" <<<"$applets"; done
  mkdir -p "$dir/tmp" && chmod 1777 "$dir/tmp"
  rm -rf "$dir"/var/lib/apt/lists/* "$dir"/var/cache/apt/*
  archive -cf "$OUT/netbase.tar" -C "$dir" .
  rm -rf "$dir"
}

# As kubeadm of this version lists them. Nodes run etcd as a unit, not as a pod.
image_names() { # KUBE_TAG
  "$CACHE/parts/kubeadm-$1/kubeadm" config images list --kubernetes-version "$1" | grep -v '/etcd:' >"$OUT/names"
  echo "ghcr.io/flannel-io/flannel:$FLANNEL" >>"$OUT/names"
  echo "$POD_IMAGE" >>"$OUT/names"
}

# What an image is made from: the part with its program, or nothing but Debian.
image_part() { # KUBE_TAG, image
  local name=${2##*/}
  case $name in
    kube-*) echo "${name%%:*}-$1" ;;
    pause:*) echo own ;;
    coredns:*) echo "coredns-${name##*:}" ;;
    flannel:*) echo flannel ;;
    "${POD_IMAGE##*/}") echo netbase ;;
    *) echo "nothing is known to build $2 from" >&2; return 1 ;;
  esac
}

image_of() { # part, image
  local from=$CACHE/parts/$1 name=${2##*/} base=$CACHE/parts/netbase/netbase.tar top=$CACHE/work/layer.tar
  rm -f "$top"
  case $name in
    kube-proxy:*) layer "$top" "$from/kube-proxy" usr/local/bin/kube-proxy; image "$OUT/image.tar" "$2" '' "$base" "$top" ;;
    kube-*) layer "$top" "$from/${name%%:*}" "usr/local/bin/${name%%:*}"; image "$OUT/image.tar" "$2" '' "$top" ;;
    pause:*) layer "$top" "$from/pause" pause; image "$OUT/image.tar" "$2" /pause "$top" ;;
    coredns:*) layer "$top" "$from/coredns" coredns; image "$OUT/image.tar" "$2" /coredns "$top" ;;
    flannel:*) layer "$top" "$from/flanneld" opt/bin/flanneld; image "$OUT/image.tar" "$2" /opt/bin/flanneld "$base" "$top" ;;
    *) image "$OUT/image.tar" "$2" '' "$base" ;;
  esac
  rm -f "$top"
}

mirror_parts() { # KUBE_TAG
  local image
  printf '%s\n' "kubelet-$1" "kubeadm-$1" "kubectl-$1" etcd etcdctl containerd runc cni own
  while read -r image; do echo "image-${image//[\/:]/_}"; done <"$CACHE/parts/names-$1/names"
}

mirror_folder() { # KUBE_TAG
  local at=$OUT/amd64 parts=$CACHE/parts image name
  mkdir -p "$at"/{bin,cni,images}
  ln "$parts"/{kubelet,kubeadm,kubectl}-"$1"/kube* "$parts"/etcd/etcd "$parts"/etcdctl/etcdctl "$parts"/containerd/{containerd,containerd-shim-runc-v2,ctr} "$parts"/runc/runc "$at/bin/"
  ln "$parts"/cni/{bridge,loopback,host-local,portmap} "$parts"/own/flannel "$at/cni/"
  while read -r image; do
    name=${image##*/}
    ln "$parts/image-${image//[\/:]/_}/image.tar" "$at/images/${name%%:*}.tar"
  done <"$parts/names-$1/names"
  (cd "$at" && find bin cni images -type f | sort | xargs sha256sum) >"$CACHE/work/SHA256SUMS"
  mv "$CACHE/work/SHA256SUMS" "$at/"
}
