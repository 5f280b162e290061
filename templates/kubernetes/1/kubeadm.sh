# shellcheck shell=bash
# kubeadm's configuration: v1beta3 for Kubernetes up to 1.30, v1beta4 from 1.31.
# shellcheck disable=SC2154 # pki is of pki.sh
minor() { local m=${KUBE_TAG#v1.}; echo "${m%%[!0-9]*}"; }

# A YAML string: in single quotes only these have to be doubled.
y() { printf "'%s'" "${1//\'/\'\'}"; }

# "--a=b --c" as extraArgs: a list of name and value from v1beta4 on, a map
# before. What is said twice counts as it is said last: a map takes it once.
extra_args() { # indent, key, options...
  local indent=$1 key=$2 option name order=''
  shift 2
  declare -A values
  for option; do
    option=${option#--}
    name=${option%%=*}
    [ -n "$name" ] || continue
    [ -n "${values[$name]+set}" ] || order="$order $name"
    if [ "$name" = "$option" ]; then values[$name]=true; else values[$name]=${option#*=}; fi
  done
  [ -n "$order" ] || return 0
  echo "$indent$key:"
  for name in $order; do
    if [ "$(minor)" -ge 31 ]; then echo "$indent- {name: $(y "$name"), value: $(y "${values[$name]}")}"
    else echo "$indent  $(y "$name"): $(y "${values[$name]}")"; fi
  done
}

component() { # key, options: words
  local args
  # shellcheck disable=SC2086 # options are words
  args=$(extra_args '  ' extraArgs $2)
  [ -z "$args" ] || printf '%s:\n%s\n' "$1" "$args"
}

list() { local w sep=''; printf '['; for w; do printf '%s%s' "$sep" "$(y "$w")"; sep=', '; done; printf ']'; }

node_registration() {
  local at options
  at=$(address)
  options="--node-ip=$at ${KUBELET_OPTIONS:-}"
  [ "${EXTERNAL_CLOUD:-}" != true ] || options="$options --cloud-provider=external"
  # A worker's kubelet must not change its taints later, so it comes with them.
  [ "$ROLE" = master ] || [ -z "${NODE_TAINTS:-}" ] || options="$options --register-with-taints=$NODE_TAINTS"
  echo 'nodeRegistration:'
  echo "  name: $(y "$NODE")"
  echo '  criSocket: unix:///run/containerd/containerd.sock'
  echo '  imagePullPolicy: IfNotPresent'
  [ "$ROLE" = master ] || echo '  taints: []'
  # shellcheck disable=SC2086 # options are words
  extra_args '  ' kubeletExtraArgs $options
}

etcd_of() { # local or external
  local m at endpoints=()
  if [ "$1" = local ]; then
    at=$(address)
    printf 'etcd:\n  local:\n    serverCertSANs: %s\n    peerCertSANs: %s\n' "$(list "$at")" "$(list "$at")"
    return
  fi
  for m in ${ETCD_MEMBERS:-}; do endpoints+=("https://${m#*=}:2379"); done
  [ ${#endpoints[@]} -gt 0 ] || return 0 # a worker's configuration
  printf 'etcd:\n  external:\n    endpoints: %s\n' "$(list "${endpoints[@]}")"
  printf '    caFile: %s\n    certFile: %s\n    keyFile: %s\n' "$pki/etcd/ca.crt" "$pki/apiserver-etcd-client.crt" "$pki/apiserver-etcd-client.key"
}

# How long a component may take to start before the kubelet kills it, to start it
# anew: on a slow machine kubeadm's 4 minutes would be for ever.
startup=15m0s

cluster_configuration() { # local or external
  local at apiserver="${APISERVER_OPTIONS:-}" controller="${CONTROLLER_OPTIONS:-}" scheduler="${SCHEDULER_OPTIONS:-}" sans
  at=$(address)
  [ -z "${POD_PREFIX:-}" ] || controller="--node-cidr-mask-size=$POD_PREFIX $controller"
  [ "${EXTERNAL_CLOUD:-}" != true ] || controller="$controller --cloud-provider=external"
  # On an only master nobody else could lead, and who renews his lease too late ends.
  case "${ETCD_MEMBERS:- }" in *' '*) ;; *) controller="--leader-elect=false $controller" scheduler="--leader-elect=false $scheduler" ;; esac
  [ "${TLS_DISABLED:-}" != true ] || apiserver="$apiserver --anonymous-auth=true"
  echo "kubernetesVersion: $(y "$KUBE_TAG")"
  # In every connection a tenth of what RSA costs.
  [ "$(minor)" -lt 31 ] || echo 'encryptionAlgorithm: ECDSA-P256'
  echo "clusterName: $(y "$CLUSTER")"
  echo "controlPlaneEndpoint: $(y "$API_HOST:${API_PORT:-6443}")"
  # A worker's kubeadm must not see the authority: where ca.crt is and no ca.key, it
  # wants to find everything that this one would have signed.
  [ "$ROLE" = master ] || echo 'certificatesDir: /etc/kubernetes/kubeadm'
  [ -z "${IMAGE_PREFIX:-}" ] || echo "imageRepository: $(y "${IMAGE_PREFIX%/}")"
  echo "networking: {podSubnet: $(y "$POD_CIDR"), serviceSubnet: $(y "$SERVICE_CIDR"), dnsDomain: $(y "${DNS_DOMAIN:-cluster.local}")}"
  echo 'apiServer:'
  # shellcheck disable=SC2086 # names are words
  sans=$(list "$at" 127.0.0.1 "$API_HOST" ${API_SANS:-})
  echo "  certSANs: $sans"
  # shellcheck disable=SC2086 # options are words
  extra_args '  ' extraArgs $apiserver
  [ "$(minor)" -ge 31 ] || echo "  timeoutForControlPlane: $startup"
  component controllerManager "$controller"
  component scheduler "$scheduler"
  etcd_of "$1"
}

kubelet_configuration() {
  echo "authentication: {x509: {clientCAFile: $pki/ca.crt}}"
  echo "cgroupDriver: ${CGROUP_DRIVER:-systemd}"
  echo "clusterDNS: $(list "$DNS_ADDRESS")"
  echo "clusterDomain: $(y "${DNS_DOMAIN:-cluster.local}")"
}

# kube-proxy reads a file, and beside it few flags count.
proxy_configuration() {
  local option
  echo "clusterCIDR: $(y "$POD_CIDR")"
  for option in ${PROXY_OPTIONS:-}; do
    case $option in
      --proxy-mode=*) echo "mode: $(y "${option#*=}")" ;;
      --metrics-bind-address=*) echo "metricsBindAddress: $(y "${option#*=}")" ;;
      *) echo "kube-proxy cannot be given $option here: --proxy-mode and --metrics-bind-address can" >&2; return 1 ;;
    esac
  done
}

# A worker's has what kubelet-start reads.
kubeadm_config() { # local or external: whose etcd
  local version=kubeadm.k8s.io/v1beta4
  [ "$(minor)" -ge 31 ] || version=kubeadm.k8s.io/v1beta3
  printf 'apiVersion: %s\nkind: InitConfiguration\n' $version
  printf "localAPIEndpoint: {advertiseAddress: %s, bindPort: 6443}\n" "$(y "$(address)")"
  echo 'patches: {directory: /etc/jeroboam/patches}'
  # kubeadm makes a token of its own, for a day if it is not told better: nobody has it.
  echo 'bootstrapTokens: [{ttl: 1m0s}]'
  [ "$(minor)" -lt 31 ] || echo "timeouts: {controlPlaneComponentHealthCheck: $startup}"
  node_registration
  printf -- '---\napiVersion: %s\nkind: ClusterConfiguration\n' $version
  cluster_configuration "$1"
  printf -- '---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n'
  kubelet_configuration
  printf -- '---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n'
  proxy_configuration
}
