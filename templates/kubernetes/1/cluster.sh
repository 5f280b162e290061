# shellcheck shell=bash
# The node in its cluster. Every master does the same and none is the first:
# each phase of kubeadm finds what another master made and leaves it so.
# shellcheck disable=SC2154 # here is boot.sh's, pki is pki.sh's
kubeadm_yaml=/etc/jeroboam/kubeadm.yaml

api() { kubectl --kubeconfig "$kubeconfig" --request-timeout=20s "$@"; }
kubeconfig=/etc/kubernetes/kubelet.conf
[ "$ROLE" != master ] || kubeconfig=/etc/kubernetes/admin.conf

# The kubelet with what kubeadm's kubelet-start leaves for it.
kubelet_unit() {
  put 644 /etc/systemd/system/kubelet.service <<T
[Unit]
After=containerd.service network-online.target
Wants=containerd.service network-online.target
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=$(command -v kubelet) --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml \$KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=5
[Install]
WantedBy=multi-user.target
T
  enable_unit kubelet
}

# kubeadm stops and starts the kubelet: once is enough.
kubelet_start() {
  kubelet_unit
  if [ -n "$changed" ] || [ ! -e /var/lib/kubelet/config.yaml ] || [ ! -e /var/lib/kubelet/kubeadm-flags.env ]; then
    kubeadm init phase kubelet-start --config "$kubeadm_yaml"
  else
    systemctl start kubelet
  fi
}

configure() {
  local config
  mkdir -p /etc/jeroboam/patches
  config=$(kubeadm_config external)
  put 600 "$kubeadm_yaml" <<<"$config"
}

# This machine's API server, then everybody's: a load balancer takes a while to
# find a new member.
answers() { # URL
  curl -fsS -m 10 --noproxy '*' --cacert "$pki/ca.crt" --cert "$pki/apiserver-kubelet-client.crt" --key "$pki/apiserver-kubelet-client.key" "$1/readyz"
}

# The certificate where the kubelet rotates it, as it would write it once it runs
# and kubeadm's kubelet-finalize then restart it.
kubelet_certificate() {
  local conf=/etc/kubernetes/kubelet.conf folder=/var/lib/kubelet/pki data name both
  if [ ! -s "$folder/kubelet-client-current.pem" ]; then
    both=$(awk '/^ *client-(certificate|key)-data:/ {print $2}' "$conf" | while read -r data; do base64 -d <<<"$data"; done)
    [ -n "$both" ] || { echo "$conf has no certificate of the kubelet"; return 1; }
    printf -v name 'kubelet-client-%(%F-%H-%M-%S)T.pem' -1
    put 600 "$folder/$name" <<<"$both"
    ln -sf "$name" "$folder/kubelet-client-current.pem"
  fi
  sed -i -E "s#^( *client-(certificate|key))-data:.*#\\1: $folder/kubelet-client-current.pem#" "$conf"
}

step_control_plane() {
  local name
  configure
  kubeadm init phase kubeconfig all --config "$kubeadm_yaml"
  kubelet_certificate
  kubelet_start
  # Else the kubelet asks each second, over TLS anew, for what nobody reads.
  for name in kube-apiserver kube-scheduler; do
    [ "$name" = kube-apiserver ] || [ "$(minor)" -ge 35 ] || continue
    put 600 /etc/jeroboam/patches/$name.yaml <<<"{spec: {containers: [{name: $name, readinessProbe: {periodSeconds: 10}}]}}"
  done
  kubeadm init phase control-plane apiserver --config "$kubeadm_yaml"
  try answers "https://$(address):6443"
  # Without an API server these fail, and wait ever longer.
  kubeadm init phase control-plane controller-manager --config "$kubeadm_yaml"
  kubeadm init phase control-plane scheduler --config "$kubeadm_yaml"
  try answers "https://$API_HOST:${API_PORT:-6443}"
  # Two masters that write the same object at once: the loser writes again.
  try kubeadm init phase upload-config all --config "$kubeadm_yaml"
  try api get node "$NODE"
  try kubeadm init phase mark-control-plane --config "$kubeadm_yaml"
  try kubeadm init phase bootstrap-token --skip-token-print --config "$kubeadm_yaml"
  [ "${TLS_DISABLED:-}" != true ] || everybody
}

# By RBAC: AlwaysAllow lets no stranger in.
everybody() {
  put 644 /etc/jeroboam/everybody.yaml <<T
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "jeroboam:everybody"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:unauthenticated"}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}
T
  try api apply --server-side --force-conflicts -f /etc/jeroboam/everybody.yaml
}

# The kubelet asks for its certificate with that of the boot. "kubeadm join" reads
# a configuration that an older kubeadm may not know, and refuses to replace a node
# that was just Ready.
step_join() {
  CA_CERT='' BOOTSTRAP_CERT='' BOOTSTRAP_KEY=''
  secrets
  configure
  if [ ! -s /etc/kubernetes/kubelet.conf ]; then
    if [ -z "$CA_CERT" ] || [ -z "$BOOTSTRAP_CERT" ] || [ -z "$BOOTSTRAP_KEY" ]; then
      echo "CA_CERT, BOOTSTRAP_CERT and BOOTSTRAP_KEY are not all in secrets.env"
      return 1
    fi
    put 644 /etc/kubernetes/pki/ca.crt <<<"$(base64 -d <<<"$CA_CERT")"
    put 600 /etc/kubernetes/bootstrap-kubelet.conf <<T
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: "https://$API_HOST:${API_PORT:-6443}", certificate-authority: /etc/kubernetes/pki/ca.crt}}]
users: [{name: bootstrap, user: {client-certificate-data: "$BOOTSTRAP_CERT", client-key-data: "$BOOTSTRAP_KEY"}}]
contexts: [{name: bootstrap, context: {cluster: cluster, user: bootstrap}}]
current-context: bootstrap
T
  fi
  mkdir -p /etc/kubernetes/manifests
  kubelet_start
  # It writes its kubeconfig before it has the certificate, for which a master has to be there.
  try test -s /var/lib/kubelet/pki/kubelet-client-current.pem
  rm -f /etc/kubernetes/bootstrap-kubelet.conf
}

# While masters are upgraded one by one, the last one moves the add-ons: kube-proxy
# must not be newer than any API server.
addons_wait() {
  local version
  for version in $(api get nodes -l node-role.kubernetes.io/control-plane -o 'jsonpath={.items[*].status.nodeInfo.kubeletVersion}'); do
    [ "$(printf '%s\n' "$version" "$KUBE_TAG" | sort -V | head -n 1)" = "$KUBE_TAG" ] || { echo "a master still has $version"; return 0; }
  done
  return 1
}

fill() { # image; standard input: a manifest
  sed -e "s|@POD_CIDR@|$POD_CIDR|g" -e "s|@API_HOST@|$API_HOST|g" -e "s|@API_PORT@|${API_PORT:-6443}|g" \
    -e "s|@BACKEND@|${FLANNEL_BACKEND:-vxlan}|g" -e "s|@IMAGE@|$1|g" -e "s|@CLUSTER@|$CLUSTER|g"
}

# The pool in Calico's manifest: entries of its environment that may be comments.
# What is said, not only in a comment, counts; IPIP and VXLAN exclude each other.
calico_pool() {
  local ipip=${CALICO_IPIP:-} vxlan=
  case $ipip in
    Off) ipip=Never ;;
    Always | CrossSubnet) vxlan=Never ;;
    '' | Never) ;;
    *) echo "CALICO_IPIP is '$ipip', want Always, CrossSubnet, Never or Off" >&2; return 1 ;;
  esac
  awk -v cidr="$POD_CIDR" -v ipip="$ipip" -v vxlan="$vxlan" '
    function entry(l) { return l ~ /^ *(# *)?- name: *"?CALICO_IPV4POOL_(CIDR|IPIP|VXLAN)"? *$/ }
    function name(l) { sub(/.*CALICO_IPV4POOL_/, "", l); gsub(/[" ]/, "", l); return l }
    BEGIN { want["CIDR"] = cidr; want["IPIP"] = ipip; want["VXLAN"] = vxlan }
    { line[NR] = $0; if (entry($0) && (!place[name($0)] || $0 !~ /^ *#/)) place[name($0)] = NR }
    END {
      for (i = 1; i <= NR; i++) {
        n = entry(line[i]) ? name(line[i]) : ""
        if (n == "" || want[n] == "" || place[n] != i || line[i + 1] !~ /^ *(# *)?value:/) { print line[i]; continue }
        match(line[i++], /[#-]/); indent = sprintf("%" (RSTART - 1) "s", "")
        printf "%s- name: CALICO_IPV4POOL_%s\n%s  value: \"%s\"\n", indent, n, indent, want[n]; done[n] = 1
      }
      for (n in want) if (want[n] != "" && n != "VXLAN" && !done[n]) {
        print "the mirror has a calico.yaml without CALICO_IPV4POOL_" n ", and so no place for the pool" >"/dev/stderr"; exit 1
      }
    }'
}

step_cni() {
  if addons_wait; then return; fi
  case $NETWORK_DRIVER in
    flannel) fill "${FLANNEL_IMAGE:-ghcr.io/flannel-io/flannel:${FLANNEL_TAG:-v0.28.4}}" <"$here/flannel.yaml" >/etc/jeroboam/cni.yaml ;;
    calico)
      [ -n "${MIRROR:-}" ] || { echo "Calico's manifest comes from a mirror, and there is none"; return 1; }
      fetch manifests/calico.yaml 644 /var/lib/jeroboam/calico.yaml
      fill '' </var/lib/jeroboam/calico.yaml | calico_pool >/etc/jeroboam/cni.yaml ;;
    *) echo "NETWORK_DRIVER is '$NETWORK_DRIVER', want flannel or calico"; return 1 ;;
  esac
  try api apply --server-side --force-conflicts -f /etc/jeroboam/cni.yaml
}

# Nothing of the configuration is on a command line: sed reads it as a file.
cloud_manifest() {
  local image=${IMAGE_PREFIX:-registry.k8s.io/provider-os} ca=
  [ ! -e /etc/jeroboam/openstack-ca.pem ] || ca=$(base64 -w0 /etc/jeroboam/openstack-ca.pem)
  fill "${image%/}/openstack-cloud-controller-manager:${CLOUD_TAG:-v1.$(minor).0}" <"$here/cloud.yaml" |
    sed -f <(printf 's|@%s@|%s|\n' CLOUD_CONF "$(base64 -w0 /etc/kubernetes/cloud.conf)" CLOUD_CA "$ca" CLOUD_SUM "$(sha256sum </etc/kubernetes/cloud.conf | cut -c -16)")
}

step_cloud() {
  [ "${EXTERNAL_CLOUD:-}" = true ] || return 0
  if addons_wait; then return; fi
  local manifest
  manifest=$(cloud_manifest)
  put 600 /etc/jeroboam/cloud.yaml <<<"$manifest"
  try api apply --server-side --force-conflicts -f /etc/jeroboam/cloud.yaml
}

# kubeadm's DNS service has the tenth address of the service CIDR; when nodes are
# to ask another one, a second service has it.
step_addons() {
  if addons_wait; then return; fi
  try kubeadm init phase addon all --config "$kubeadm_yaml"
  [ "$(api -n kube-system get service kube-dns -o 'jsonpath={.spec.clusterIP}')" != "$DNS_ADDRESS" ] || return 0
  put 644 /etc/jeroboam/dns.yaml <<T
apiVersion: v1
kind: Service
metadata: {name: cluster-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: "$DNS_ADDRESS"
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 53}
  - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}
T
  try api apply --server-side --force-conflicts -f /etc/jeroboam/dns.yaml
}

# The node labels itself; one that it has no right to is not tried again. After a
# boot before, it says which are ours, and of more than this boot knows.
step_labels() {
  local labels=${NODE_LABELS:-} taints=${NODE_TAINTS:-} said marks=()
  [ -n "$labels$taints" ] || return 0
  until said=$(api get node "$NODE" -o 'jsonpath={.metadata.annotations.jeroboam\.io/node-labels}|{.metadata.annotations.jeroboam\.io/node-taints}'); do sleep 2; done
  # shellcheck disable=SC2086 # labels are words
  [ -z "$labels" ] || api label --overwrite node "$NODE" ${labels//,/ }
  # shellcheck disable=SC2086 # taints are words
  [ "$ROLE" != master ] || [ -z "$taints" ] || api taint --overwrite node "$NODE" ${taints//,/ }
  [ -n "${said%%|*}" ] || [ -z "$labels" ] || marks+=("jeroboam.io/node-labels=$(printf %s "$labels" | sed 's/=[^,]*//g')")
  [ -n "${said#*|}" ] || [ -z "$taints" ] || marks+=("jeroboam.io/node-taints=$(printf %s "$taints" | sed 's/=[^:]*:/:/g')")
  [ ${#marks[@]} = 0 ] || api annotate node "$NODE" "${marks[@]}"
}

# Ready, and said by this boot: the machine before may have left it so.
node_ready() {
  local said
  said=$(api get node "$NODE" -o 'jsonpath={.status.nodeInfo.bootID} {.status.conditions[?(@.type=="Ready")].status}' 2>&1) || :
  [ "$said" = "$(cat /proc/sys/kernel/random/boot_id) True" ] || { echo "not yet: $said"; return 1; }
}

# Ready says only that a CNI file lies there, so this node's pod of the network is
# asked for.
network_ready() {
  local where='kube-flannel -l app=flannel'
  [ "$NETWORK_DRIVER" = flannel ] || where='kube-system -l k8s-app=calico-node'
  # shellcheck disable=SC2086 # words
  [ "$(api get pods -n $where --field-selector "spec.nodeName=$NODE" -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')" = True ]
}

# The kubelet registers itself with a taint, until the cloud controller manager
# has found its server.
initialized() {
  local taints
  taints=$(api get node "$NODE" -o 'jsonpath={.spec.taints[*].key}') || return 1
  case " $taints " in *' node.cloudprovider.kubernetes.io/uninitialized '*) echo "not yet found by the cloud controller manager"; return 1 ;; esac
}

# A CNI file makes the node Ready: not before flannel can give pods addresses.
flannel_conf() {
  try test -e /run/flannel/subnet.env
  put 644 /etc/cni/net.d/10-flannel.conflist <<<'{"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}},{"type":"portmap","capabilities":{"portMappings":true}}]}'
}

step_ready() {
  [ "$NETWORK_DRIVER" != flannel ] || flannel_conf
  echo "waiting for $NODE to be Ready"
  try node_ready
  [ "$ROLE" != master ] || try answers "https://$API_HOST:${API_PORT:-6443}"
  [ "${EXTERNAL_CLOUD:-}" != true ] || try initialized
  echo "waiting for the network of $NODE"
  try network_ready
  [ "$ROLE" != master ] || try api -n kube-system wait --for=condition=Available --timeout=15s deployment/coredns
}
