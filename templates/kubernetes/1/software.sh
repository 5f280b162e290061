# shellcheck shell=bash
# Programs and images: from the mirror, checked by sum, or what the image has.
sums=/var/lib/jeroboam/SHA256SUMS

arch() { case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac; }
has_sum() { [ "$(sha256sum <"$2" | cut -d' ' -f1)" = "$1" ]; }  # sum, file
sum_of() { awk -v name="$1" '$2 == name || $2 == "*" name {print $1; exit}' "${2:-$sums}"; } # path, list

# Whether the image has the file: half a gigabyte is not summed where it says so.
brings() { # sum, path
  local folder=/opt/jeroboam/$KUBE_TAG
  [ -e "$folder/$2" ] && { [ "$(sum_of "$2" "$folder/SHA256SUMS" 2>/dev/null)" = "$1" ] || has_sum "$1" "$folder/$2"; }
}

download() { # path below the mirror's folder, file
  curl -fsSL --retry 10 --retry-delay 3 --retry-all-errors -o "$2" "${MIRROR%/}/$KUBE_TAG/$(arch)/$1"
}

# A file of the mirror in its place: with the wrong sum it gets no name to run by.
fetch() { # path, mode, file
  local want brought=/opt/jeroboam/$KUBE_TAG/$1
  want=$(sum_of "$1")
  if [ -z "$want" ]; then
    [ -e "$3" ] || { echo "$3 is missing, and $1 is not in the mirror's SHA256SUMS"; return 1; }
    return 0
  fi
  mkdir -p "$(dirname "$3")"
  if brings "$want" "$1"; then
    [ ! "$brought" -ef "$3" ] || return 0
    ln -f "$brought" "$3.part" || cp "$brought" "$3.part"
  elif [ -e "$3" ] && has_sum "$want" "$3"; then
    chmod "$2" "$3"
    return 0
  else
    download "$1" "$3.part"
    has_sum "$want" "$3.part" || { rm -f "$3.part"; echo "$1 of the mirror has not the sum of its SHA256SUMS"; return 1; }
  fi
  chmod "$2" "$3.part"
  mv "$3.part" "$3"
  relabel "$3"
}

step_binaries() {
  local name names='kubelet kubeadm kubectl containerd containerd-shim-runc-v2 ctr runc'
  [ "$ROLE" != master ] || names="$names etcd etcdctl"
  mkdir -p "$(dirname "$sums")" /opt/cni/bin
  if [ -n "${MIRROR:-}" ]; then
    download SHA256SUMS "$sums.part"
    mv "$sums.part" "$sums"
  else
    [ -e "$sums" ] || : >"$sums"
    for name in $names; do
      command -v "$name" || { echo "$name is not in the image, and there is no mirror"; return 1; }
    done
    return 0
  fi
  for name in $names; do fetch "bin/$name" 755 "/usr/local/bin/$name"; done
  for name in $(awk '{sub(/^\*/, "", $2)} $2 ~ /^cni\/[^\/]+$/ {print $2}' "$sums") cni/bridge cni/host-local cni/loopback cni/portmap; do
    fetch "$name" 755 "/opt/cni/bin/${name#cni/}"
  done
}

images_of() { kubeadm config images list --kubernetes-version "$KUBE_TAG" ${IMAGE_PREFIX:+--image-repository "${IMAGE_PREFIX%/}"}; }

# containerd 2.0 renamed its plugins.
containerd_config() { # pause image
  local systemd=true
  [ "${CGROUP_DRIVER:-systemd}" = systemd ] || systemd=false
  case $(containerd --version | awk '{print $3}') in
    v1.* | 1.*) cat <<T
version = 2
[plugins.'io.containerd.grpc.v1.cri']
  sandbox_image = '$1'
[plugins.'io.containerd.grpc.v1.cri'.registry]
  config_path = '/etc/containerd/certs.d'
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]
  SystemdCgroup = $systemd
[plugins.'io.containerd.grpc.v1.cri'.cni]
  bin_dir = '/opt/cni/bin'
  conf_dir = '/etc/cni/net.d'
T
      ;;
    *) cat <<T
version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '$1'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = $systemd
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/opt/cni/bin']
  conf_dir = '/etc/cni/net.d'
T
      ;;
  esac
}

# A value as an EnvironmentFile has it: after a quote in single quotes, as the
# shell takes it, systemd would read on as if there were none.
envfile() { # name, value
  printf '%s="%s"\n' "$1" "$(printf %s "$2" | sed 's/[\\"`$]/\\&/g')"
}

# Proxies come from a file: in Environment= a % of a URL would be systemd's.
containerd_unit() {
  cat <<T
[Unit]
After=network.target local-fs.target
RequiresMountsFor=/var/lib/containerd
[Service]
Type=notify
EnvironmentFile=-/etc/jeroboam/proxy.env
ExecStart=$(command -v containerd)
Delegate=yes
KillMode=process
OOMScoreAdjust=-999
LimitNOFILE=1048576
Restart=always
RestartSec=5
[Install]
WantedBy=multi-user.target
T
}

step_containerd() {
  local pause host name
  pause=$(images_of | grep /pause:)
  put 644 /etc/containerd/config.toml <<<"$(containerd_config "$pause")"
  [ -z "${REGISTRY_MIRROR:-}" ] || put 644 /etc/containerd/certs.d/_default/hosts.toml <<<"[host.'$REGISTRY_MIRROR']
  capabilities = ['pull', 'resolve']"
  for host in ${INSECURE_REGISTRIES:-}; do
    put 644 "/etc/containerd/certs.d/$host/hosts.toml" <<<"server = 'http://$host'"
  done
  put 600 /etc/jeroboam/proxy.env <<<"$(for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do envfile "$name" "${!name}"; done)"
  put 644 /etc/systemd/system/containerd.service <<<"$(containerd_unit)"
  mkdir -p /etc/cni/net.d
  enable_unit containerd
  if [ -n "$changed" ]; then systemctl restart containerd; else systemctl start containerd; fi
  try ctr version
}

# The names in an archive as "docker save" writes it.
tags_in() { tar -xOf "$1" manifest.json | grep -o '"RepoTags":\[[^]]*\]' | sed 's/^"RepoTags"://' | grep -o '"[^"]*"' | tr -d '"'; }

# An archive whose sum was imported is not fetched again, if its images are still
# there; the notes lie beside them. Nothing may collect what no registry has.
import() { # path
  local sum notes=/var/lib/containerd/jeroboam-images have tag missing=
  sum=$(sum_of "$1")
  have=$(ctr -n k8s.io images ls -q)
  if [ -e "$notes/$sum" ]; then
    while read -r tag; do grep -qxF "$tag" <<<"$have" || missing=yes; done <"$notes/$sum"
    [ -n "$missing" ] || return 0
  fi
  fetch "$1" 600 /var/lib/containerd/jeroboam-archive.tar
  ctr -n k8s.io images import --local --snapshotter overlayfs /var/lib/containerd/jeroboam-archive.tar ||
    ctr -n k8s.io images import --snapshotter overlayfs /var/lib/containerd/jeroboam-archive.tar # containerd 1.x knows no --local
  put 600 "$notes/$sum" <<<"$(tags_in /var/lib/containerd/jeroboam-archive.tar)"
  while read -r tag; do ctr -n k8s.io images label "$tag" io.cri-containerd.pinned=pinned; done <"$notes/$sum"
  rm -f /var/lib/containerd/jeroboam-archive.tar
}

# Workers run few of them.
step_images() {
  local path
  # shellcheck disable=SC2013 # names without blanks
  for path in $(awk '{sub(/^\*/, "", $2)} $2 ~ /^images\/.*\.tar$/ {print $2}' "$sums"); do
    case $ROLE:$path in worker:*/kube-apiserver* | worker:*/kube-controller-manager* | worker:*/kube-scheduler*) ;; *) import "$path" ;; esac
  done
  grep -q ' \*\?images/' "$sums" || [ "$ROLE" = worker ] ||
    kubeadm config images pull --kubernetes-version "$KUBE_TAG" ${IMAGE_PREFIX:+--image-repository "${IMAGE_PREFIX%/}"}
}
