#!/bin/bash
# What jeroboam-drain.service does: at a shutdown the node takes no more pods and
# evicts those it has, within a limit; at the next boot, also that of a machine
# that replaces this one, it takes pods again. A node that somebody else cordoned
# stays as it is. All with the kubelet's own rights, which kubectl drain exceeds.
set -u -o pipefail
# shellcheck source=/dev/null
. /etc/jeroboam/node.env
export PATH="/usr/local/bin:$PATH" KUBECONFIG=/etc/kubernetes/kubelet.conf
mark='jeroboam.io~1drained'

patch() { kubectl --request-timeout=10s patch node "$NODE" --type=json -p "$1"; }

# Of a shutdown of ours, as the annotation says.
drained() { kubectl --request-timeout=10s get node "$NODE" -o 'jsonpath={.metadata.annotations.jeroboam\.io/drained}'; }

uncordon() {
  local was
  until was=$(drained); do sleep 5; done
  [ -z "$was" ] || until patch "[{\"op\":\"add\",\"path\":\"/spec/unschedulable\",\"value\":false},{\"op\":\"remove\",\"path\":\"/metadata/annotations/$mark\"}]"; do sleep 5; done
}

cordon() {
  [ "$(kubectl --request-timeout=10s get node "$NODE" -o 'jsonpath={.spec.unschedulable}')" != true ] || return 0
  patch "[{\"op\":\"add\",\"path\":\"/spec/unschedulable\",\"value\":true},{\"op\":\"add\",\"path\":\"/metadata/annotations/$mark\",\"value\":\"shutdown\"}]"
}

# Pods that may go: not those of a DaemonSet, which would come back, nor static
# ones (their owner is the Node).
pods() {
  kubectl --request-timeout=10s get pods -A --field-selector "spec.nodeName=$NODE,status.phase!=Succeeded,status.phase!=Failed" --no-headers \
    -o 'custom-columns=N:.metadata.namespace,P:.metadata.name,O:.metadata.ownerReferences[0].kind' |
    awk '$3 != "DaemonSet" && $3 != "Node" {print $1, $2}'
}

# A disruption budget may refuse an eviction for now: it is asked for again.
evict() {
  local end=$((SECONDS + ${DRAIN_SECONDS:-120})) left
  while [ $SECONDS -lt "$end" ]; do
    left=$(pods) && [ -z "$left" ] && return 0
    while read -r namespace pod; do
      [ -z "$pod" ] || kubectl --request-timeout=10s create --raw "/api/v1/namespaces/$namespace/pods/$pod/eviction" -f - \
        <<<"{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$pod\",\"namespace\":\"$namespace\"}}"
    done <<<"$left"
    sleep 2
  done
  echo "still here: $left"
}

case ${1:-} in
  start) uncordon ;;
  stop) [ "$(systemctl is-system-running)" != stopping ] || { cordon && evict; } ;;
  *) echo "drain.sh start|stop"; exit 2 ;;
esac
