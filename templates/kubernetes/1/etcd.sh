# shellcheck shell=bash
# One member of the cluster's etcd. Its place outlives its machine: who finds data
# starts as who it was.
# shellcheck disable=SC2153,SC2154 # pki is of pki.sh, CLUSTER of node.env
etcd_data=/var/lib/etcd/data

# What a member does at its boot. Data is present or empty; answering: how many
# others' peer ports do; listed: what these say of this member; healthy: how many
# others serve clients, which takes a quorum.
#
#   data     answering  listed      healthy    does
#   present                                    start
#   empty    0                                 new: nobody is up, the cluster is being made
#   empty    some       never                  new: the others were told of it, it has not been up yet
#   empty    some       unstarted              join: it was added, and died before it started
#   empty    some       absent      quorum     add: it was removed, and died before it was added
#   empty    some       lived       quorum     replace: its data is lost, the cluster lives
#   empty    some       absent, lived  fewer   refuse: taking a vote away now could end the cluster
etcd_action() { # data, answering, listed, healthy, members
  [ "$1" = empty ] || { echo start; return; }
  [ "$2" -gt 0 ] || { echo new; return; }
  case $3 in
    never) echo new; return ;;
    unstarted) echo join; return ;;
    absent | lived) ;;
    *) echo refuse; return ;;
  esac
  [ $(($4 * 2)) -gt "$5" ] || { echo refuse; return; }
  [ "$3" = lived ] && echo replace || echo add
}

etcd_address() { # member
  local m
  for m in $ETCD_MEMBERS; do [ "${m%%=*}" != "$1" ] || echo "${m#*=}"; done
}

via() { # endpoint, etcdctl's arguments
  local at=$1
  shift
  timeout 15 etcdctl --command-timeout=5s --cacert="$pki/etcd/ca.crt" --cert="$pki/etcd/healthcheck-client.crt" \
    --key="$pki/etcd/healthcheck-client.key" --endpoints="$at" "$@"
}

# What one member's peer port says of a member: it answers without a quorum (not in
# the HTTP/2 that it agrees to). Clients' addresses are known once it was up.
standing() { # JSON list of members, name, peer URL
  local one
  one=$(tr '{' '\n' <<<"$1" | grep -F "\"$3\"") || { echo absent; return; }
  case $one in *'"clientURLs":["'*) echo lived ;; *"\"name\":\"$2\""*) echo never ;; *) echo unstarted ;; esac
}

# Looks at the world for etcd_action; sets $endpoint to a healthy member.
etcd_look() {
  local m at list said data=empty answering=0 listed=never healthy=0 members=0
  endpoint=
  ! compgen -G "$etcd_data/member/wal/*.wal" >/dev/null || data=present
  for m in $ETCD_MEMBERS; do
    members=$((members + 1)) at=${m#*=}
    [ "${m%%=*}" != "$ETCD_MEMBER" ] || continue
    list=$(curl -fsS -m 5 --http1.1 --noproxy '*' --cacert "$pki/etcd/ca.crt" --cert "$pki/etcd/peer.crt" --key "$pki/etcd/peer.key" "https://$at:2380/members") || continue
    said=$(standing "$list" "$ETCD_MEMBER" "https://$(etcd_address "$ETCD_MEMBER"):2380")
    answering=$((answering + 1))
    # Who has seen it live is believed before who has not heard of it yet.
    [ "$answering" -gt 1 ] && [ "$listed" = lived ] || listed=$said
    via "https://$at:2379" endpoint health || continue
    healthy=$((healthy + 1)) endpoint=https://$at:2379 listed=$said
  done
  action=$(etcd_action $data $answering "$listed" $healthy $members)
  echo "etcd: data $data, $answering of $((members - 1)) others answer, $healthy healthy, this member $listed: $action"
}

# The members as --initial-cluster wants them, this one with its name.
etcd_cluster() {
  local own
  own=https://$(etcd_address "$ETCD_MEMBER"):2380
  via "$endpoint" member list | awk -F', ' -v name="$ETCD_MEMBER" -v own="$own" '{printf "%s%s=%s", sep, $4 == own ? name : $3, $4; sep = ","}'
}

etcd_rejoin() { # replace or add
  local id own
  own=https://$(etcd_address "$ETCD_MEMBER"):2380
  if [ "$1" = replace ]; then
    id=$(via "$endpoint" member list | awk -F', ' -v own="$own" '$4 == own {print $1}')
    [ -n "$id" ] || { echo "no member has $own"; return 1; }
    via "$endpoint" member remove "$id"
  fi
  # Refused for some seconds after a removal, until the others have met again.
  try via "$endpoint" member add "$ETCD_MEMBER" --peer-urls="$own"
}

etcd_unit() { # initial cluster, state
  local at
  at=$(etcd_address "$ETCD_MEMBER")
  cat <<T
[Unit]
After=network-online.target
Wants=network-online.target
RequiresMountsFor=/var/lib/etcd
[Service]
Type=notify
TimeoutStartSec=infinity
ExecStart=$(command -v etcd) --name=$ETCD_MEMBER --data-dir=$etcd_data --initial-cluster=$1 --initial-cluster-state=$2 --initial-cluster-token=$CLUSTER \\
 --initial-advertise-peer-urls=https://$at:2380 --listen-peer-urls=https://$at:2380 --advertise-client-urls=https://$at:2379 --listen-client-urls=https://$at:2379,https://127.0.0.1:2379 \\
 --cert-file=$pki/etcd/server.crt --key-file=$pki/etcd/server.key --client-cert-auth --trusted-ca-file=$pki/etcd/ca.crt \\
 --peer-cert-file=$pki/etcd/peer.crt --peer-key-file=$pki/etcd/peer.key --peer-client-cert-auth --peer-trusted-ca-file=$pki/etcd/ca.crt
Restart=always
RestartSec=5
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
T
}

step_etcd() {
  local m cluster='' state=new
  for _ in $(seq 30); do
    etcd_look
    [ "$action" = refuse ] || break
    sleep 10
  done
  case $action in
    refuse) echo "etcd's data is lost on this member, and too few others are healthy to replace it: bring them back first"; return 1 ;;
    replace | add) etcd_rejoin "$action" ;;
  esac
  for m in $ETCD_MEMBERS; do cluster=$cluster${cluster:+,}${m%%=*}=https://${m#*=}:2380; done
  case $action in replace | add | join)
    state=existing
    [ -z "$endpoint" ] || cluster=$(etcd_cluster) ;;
  esac
  mkdir -p "$etcd_data"
  chmod 700 "$etcd_data"
  # Without a log the rest of a member is of no use to the next one.
  [ "$action" = start ] || rm -rf "$etcd_data/member"
  # A member that runs is not restarted for a line that it reads only when empty.
  if [ "$action" != start ] || [ ! -e /etc/systemd/system/etcd.service ]; then
    put 644 /etc/systemd/system/etcd.service <<<"$(etcd_unit "$cluster" $state)"
  fi
  enable_unit etcd
  systemctl start --no-block etcd
  try via https://127.0.0.1:2379 endpoint health
}
