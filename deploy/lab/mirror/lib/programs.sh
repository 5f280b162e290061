# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154 # CACHE, OUT and the versions are build's
# Programs from Go modules, each in a scratch module that requires no more than
# the one it comes from: so the module's own go.mod chooses all other versions.
# They are static, stripped and trimmed.

go_build() { # folder of the scratch module, ldflags, what go build takes
  local dir=$1 flags=$2
  shift 2
  (cd "$dir" && GOWORK=off GOFLAGS=-mod=mod GOOS=linux GOARCH=amd64 CGO_ENABLED=${CGO_ENABLED:-0} go build -trimpath -ldflags "-s -w $flags" "$@")
}

downloaded() { # module@version, Dir or GoMod
  go mod download -json "$1" | sed -n "s/.*\"$2\": \"\(.*\)\".*/\1/p"
}

# Kubernetes replaces its staging modules by folders of its repository, and only
# in its own builds; here they are the modules of the same release. Its godebug
# settings do not travel either.
kubernetes() { # KUBE_TAG, command
  local tag=$1 dir=$CACHE/work/kubernetes-$1 mod minor=${1#v1.} flags='' p
  mod=$(downloaded "k8s.io/kubernetes@$tag" GoMod)
  mkdir -p "$dir"
  {
    printf 'module lab/kubernetes\n\n'
    grep -E '^(go|godebug) ' "$mod"
    printf '\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$tag"
    awk -v version="v0.${tag#v1.}" '$1 ~ /^k8s\.io\// && $2 == "v0.0.0" {printf "\t%s => %s %s\n", $1, $1, version}' "$mod"
    echo ')'
  } >"$dir/go.mod.new"
  # What go.mod was filled up with while building is kept for the next command.
  cmp -s "$dir/go.mod.new" "$dir/go.mod.first" || cp "$dir/go.mod.new" "$dir/go.mod"
  mv "$dir/go.mod.new" "$dir/go.mod.first"
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags="$flags -X $p.gitVersion=$tag -X $p.gitMajor=1 -X $p.gitMinor=${minor%%.*} -X $p.gitTreeState=archive -X $p.gitCommit=unknown -X $p.buildDate=1970-01-01T00:00:00Z"
  done
  go_build "$dir" "$flags" -o "$OUT/$2" "k8s.io/kubernetes/cmd/$2"
}

module_program() { # module, version, ldflags, "package:program"...
  local module=$1 dir=$CACHE/work/${1//\//_}-$2 flags=$3 entry package
  mkdir -p "$dir"
  [ -e "$dir/go.mod" ] || printf 'module lab/scratch\n\ngo 1.26.0\n\nrequire %s %s\n' "$module" "$2" >"$dir/go.mod"
  shift 3
  for entry; do
    package=$module/${entry%%:*}
    go_build "$dir" "$flags" ${TAGS:+-tags "$TAGS"} -o "$OUT/${entry##*:}" "${package%/.}"
  done
}

# C in them: libseccomp in runc, one backend in flanneld.
runc() { # version
  CGO_ENABLED=1 TAGS='seccomp netgo osusergo' \
    module_program github.com/opencontainers/runc "$1" "-X main.version=${1#v} -extldflags -static" .:runc
}

# One of flanneld's backends, for another cloud, needs a module that is not on
# every proxy: its main is built without it.
flannel() { # version
  local dir=$CACHE/work/flannel-$1 from
  from=$(downloaded "github.com/flannel-io/flannel@$1" Dir)
  mkdir -p "$dir"
  sed '/backend\/tencentvpc"/d' "$from/main.go" >"$dir/main.go"
  [ -e "$dir/go.mod" ] || printf 'module lab/flannel\n\ngo 1.26.0\n\nrequire github.com/flannel-io/flannel %s\n' "$1" >"$dir/go.mod"
  CGO_ENABLED=1 go_build "$dir" "-extldflags -static -X github.com/flannel-io/flannel/pkg/version.Version=$1" -tags netgo,osusergo -o "$OUT/flanneld" .
}

# Ours: a pause, and a CNI plugin for flannel.
own_programs() {
  (cd "$HERE" && GOWORK=off GOFLAGS=-mod=mod go test ./...)
  go_build "$HERE" '' -o "$OUT/pause" ./pause
  go_build "$HERE" '' -o "$OUT/flannel" ./flannelcni
}

others() {
  local c=github.com/containerd/containerd/v2 p=github.com/containernetworking/plugins
  part etcd '' module_program go.etcd.io/etcd/server/v3 "$ETCD" '' .:etcd
  part etcdctl '' module_program go.etcd.io/etcd/etcdctl/v3 "$ETCD" '' .:etcdctl
  part containerd '' module_program $c "$CONTAINERD" "-X $c/version.Version=$CONTAINERD" \
    cmd/containerd:containerd cmd/containerd-shim-runc-v2:containerd-shim-runc-v2 cmd/ctr:ctr
  part runc '' runc "$RUNC"
  part cni '' module_program $p "$CNI_PLUGINS" "-X $p/pkg/utils/buildversion.BuildVersion=$CNI_PLUGINS" \
    plugins/main/bridge:bridge plugins/main/loopback:loopback plugins/ipam/host-local:host-local plugins/meta/portmap:portmap
  part flannel '' flannel "$FLANNEL"
}
