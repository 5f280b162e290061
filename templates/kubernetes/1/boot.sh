#!/bin/bash
# Makes this machine a Kubernetes node and tells Heat how that went.
#
# What wraps these scripts (cloud-init, Ignition) puts, all owned by root,
#
#   /etc/jeroboam/boot/*        the files of this folder, 0644 will do
#   /etc/jeroboam/signal        0700: posts its standard input to the wait handle
#   /etc/jeroboam/node.env      0600: the node, below
#   /etc/jeroboam/secrets.env   0600: what this boot may know, below; removed when the node is ready
#   /etc/jeroboam/openstack-ca.pem  optional: who signed Keystone's and Barbican's certificates
#
# and runs "bash /etc/jeroboam/boot/boot.sh" from a systemd unit. It may run again at any time; "boot.sh STEP"
# repeats a step.
#
# node.env has KEY='value' lines, quoted for the shell; what is optional may be missing:
#
#   ROLE            master or worker
#   CLUSTER NODE    names; NODE is the host name and the name of the Node
#   KUBE_TAG        v1.29.0 to v1.36.x
#   API_HOST        address or name of the API, API_PORT (6443); API_SANS: further names and addresses, by spaces
#   POD_CIDR SERVICE_CIDR DNS_ADDRESS DNS_DOMAIN (cluster.local)
#   NETWORK_DRIVER  flannel or calico; FLANNEL_BACKEND (vxlan), FLANNEL_TAG (v0.28.4) or FLANNEL_IMAGE; the plugin flannel
#                   is in the mirror's cni; POD_PREFIX: length of each node's part of POD_CIDR
#   ETCD_MEMBERS    masters: "name=address ...", of all; ETCD_MEMBER: which is this one
#   ETCD_VOLUME CONTAINER_VOLUME   ids of the Cinder volumes, or empty
#   ADDRESS         optional: this node's; else that of its etcd member, else of the route to API_HOST
#   MIRROR          optional URL; below it <KUBE_TAG>/<amd64|arm64>/{SHA256SUMS,bin/*,cni/*,images/*.tar,manifests/calico.yaml};
#                   Without a mirror the image has all binaries.
#                   What an image has in /opt/jeroboam/<KUBE_TAG>/{bin,cni,images}, with the mirror's sum, is not downloaded,
#                   and not summed where the image's SHA256SUMS lists it.
#   IMAGE_PREFIX    optional: where kubeadm's images are instead of registry.k8s.io; the mirror's archives carry these names
#   REGISTRY_MIRROR INSECURE_REGISTRIES   optional: a pull-through URL; hosts[:port] without TLS, by spaces
#   HTTP_PROXY HTTPS_PROXY NO_PROXY       optional
#   KUBELET_OPTIONS APISERVER_OPTIONS CONTROLLER_OPTIONS SCHEDULER_OPTIONS   optional "--flag=value ..."
#   PROXY_OPTIONS   optional; --proxy-mode and --metrics-bind-address, all that kube-proxy takes beside its file
#   NODE_LABELS NODE_TAINTS   optional "k=v,k=v", "k=v:Effect,..."; a worker's labels: none that NodeRestriction refuses
#   CGROUP_DRIVER   systemd (default) or cgroupfs
#   EXTERNAL_CLOUD  true: masters run OpenStack's cloud controller manager, with the cloud.conf of their keys, and a node
#                   is ready when that has found its server, whose name is NODE; CLOUD_TAG (v1.<minor of KUBE_TAG>.0);
#                   below IMAGE_PREFIX its image is openstack-cloud-controller-manager
#   CALICO_IPIP     optional: Always, CrossSubnet, Never or Off; else what the manifest says
#   TLS_DISABLED    true: the API lets everybody do everything; it still speaks TLS, as Kubernetes has to since 1.24
#   DRAIN_SECONDS   optional: how long a shutdown may move pods away, 120
#
# secrets.env is one line of assignments, in single quotes:
#
#   CA_CERT BOOTSTRAP_CERT BOOTSTRAP_KEY   workers, base64 of PEM: the cluster's authorities, and a client certificate
#                   of one (CN system:bootstrap:<node>, O system:bootstrappers:kubeadm:default-node-token) with its key.
#                   The kubelet asks for its own with it, so it must live as long as a boot may take.
#   KEYSTONE_URL (up to /v3) APPCRED_ID APPCRED_SECRET BARBICAN_URL   masters with Barbican, with
#   KEYS            "ca.crt=<secret id or URL> ca.key=... etcd/ca.crt= etcd/ca.key= front-proxy-ca.crt=
#                   front-proxy-ca.key= sa.pub= sa.key=": payloads are PEM, text/plain. With EXTERNAL_CLOUD also cloud.conf=,
#                   whose payload is base64 between "-----BEGIN JEROBOAM CLOUD CONFIG-----" and the like with END;
#                   pods find openstack-ca.pem in /etc/config
#   PKI             masters without it: base64 of a .tar.gz with these files. What lies in /etc/kubernetes/pki is taken first.
#
# A boot ends within its steps' limits: 11800 s on a master, 10300 s on a worker.
# SUCCESS has versions in its data: "kubelet=v1.36.3 containerd=v2.4.2 etcd=3.6.16", the last on masters.
# FAILURE begins with the step that failed.
set -u -o pipefail
here=/etc/jeroboam/boot log=/var/log/jeroboam-boot.log
# shellcheck source=/dev/null
. /etc/jeroboam/node.env
# shellcheck source=/dev/null
for part in report machine software kubeadm pki etcd cluster; do . "$here/$part.sh"; done
export PATH="/usr/local/bin:$PATH" HTTP_PROXY="${HTTP_PROXY:-}" HTTPS_PROXY="${HTTPS_PROXY:-}" NO_PROXY="${NO_PROXY:-}"
export http_proxy=$HTTP_PROXY https_proxy=$HTTPS_PROXY no_proxy=$NO_PROXY

# What is done, in order, and how many seconds each may take. A worker waits for a
# master that may have taken all its time.
steps() {
  case $ROLE in
    master) echo prepare:180 container_volume:1500 etcd_volume:1500 binaries:900 containerd:300 images:1500 keys:300 \
      certificates:300 etcd:1500 control_plane:1200 cni:300 cloud:300 addons:300 drain:180 labels:300 ready:1200 ;;
    worker) echo prepare:180 container_volume:1500 binaries:900 containerd:300 images:1500 join:4200 drain:180 labels:300 ready:1200 ;;
    *) return 1 ;;
  esac
}

# Each step is a process of its own: it can be stopped with all it started, and
# leaves behind what a second run has, the disk.
if [ $# -gt 0 ]; then
  set -e
  shopt -s inherit_errexit
  "step_$1"
  exit
fi

touch "$log" && chmod 600 "$log"
exec 9>/run/jeroboam-boot.lock
flock 9
todo=$(steps) || { report FAILURE "step start failed: ROLE is '$ROLE', want master or worker" ""; exit 1; }
for entry in $todo; do
  name=${entry%:*} limit=${entry#*:}
  echo "== $name" | tee -a "$log"
  timeout -k 10 "$limit" bash "$here/boot.sh" "$name" 2>&1 9>&- </dev/null | mask | tee -a "$log"
  status=${PIPESTATUS[0]}
  [ "$status" != 124 ] || echo "not done after $limit s" | tee -a "$log"
  [ "$status" = 0 ] || { report FAILURE "step $name failed: $(tail_of_log)" ""; exit 1; }
done
report SUCCESS "$ROLE is ready" "$(versions)" || exit 1
rm -f /etc/jeroboam/secrets.env
