# Shared by up, down, status and boot: paths, service table, pid-file process control.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the paths are read by those who source this file
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PYENV_VERSION
export no_proxy=127.0.0.1,localhost,169.254.169.1 # apt may need a proxy, this machine never does
export NO_PROXY=$no_proxy
LAB_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB_DIR=${LAB_DIR:-/var/lib/openstack-lab}
LAB_PASS=${LAB_PASS:-lab}
LAB_REGION=${LAB_REGION:-RegionOne}
LAB_HEAT_ENGINES=${LAB_HEAT_ENGINES:-2}
LAB_COMPUTES=${LAB_COMPUTES:-3}
LAB_APPCRED_TRUSTS=${LAB_APPCRED_TRUSTS:-true}
LAB_HEAT_LIMITS=${LAB_HEAT_LIMITS:-production}
export JEROBOAM_BOOT_CACHE=${JEROBOAM_BOOT_CACHE:-/var/cache/jeroboam-boot}
ETC=$LAB_DIR/etc RUN=$LAB_DIR/run LOG=$LAB_DIR/log STAMP=$LAB_DIR/stamp
PYLIB=$LAB_DIR/pylib
SOCK=$RUN/mariadb.sock
KS=http://127.0.0.1:5000/v3
BOOT_ADDRESS=169.254.169.1 # of the lab as guests see it (pylib/labnet.py)

CORE_SVCS="mariadb epmd rabbitmq memcached keystone heat-api heat-api-cfn heat-engine"
FULL_SVCS="glance placement nova-conductor nova-scheduler nova-api nova-compute neutron discovery-stub magnum-api magnum-conductor"
ALL_SVCS="barbican cinder-api cinder-scheduler cinder-volume octavia-api octavia-worker"
BOOT_SVCS="boot-forward nova-compute-boot"

svcs_of() { # profile -> services in start order
  case $1 in
    core) echo "$CORE_SVCS" ;;
    full) echo "$CORE_SVCS $FULL_SVCS" ;;
    all)  echo "$CORE_SVCS $FULL_SVCS $ALL_SVCS" ;;
    boot) echo "$CORE_SVCS $FULL_SVCS $ALL_SVCS $BOOT_SVCS" ;;
    *) echo "unknown profile: $1 (core, full, all or boot)" >&2; return 1 ;;
  esac
}

port_of() {
  case $1 in
    epmd) echo 4369;; rabbitmq) echo 5672;; memcached) echo 11211;; keystone) echo 5000;;
    heat-api) echo 8004;; heat-api-cfn) echo 8000;; glance) echo 9292;; placement) echo 8778;;
    nova-api) echo 8774;; neutron) echo 9696;; discovery-stub) echo 2381;; magnum-api) echo 9511;;
    barbican) echo 9311;; cinder-api) echo 8776;; octavia-api) echo 9876;; boot-forward) echo 8090;; *) echo "";;
  esac
}

starttime() { # pid -> kernel start time of that process, so that a reused pid is not taken for ours
  local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086
  set -- ${s##*) }; [ "$1" = Z ] && return 1; echo "${20}"
}
svc_pid() { # prints the pid when the recorded process is still the one running
  local pid st; [ -f "$RUN/$1.pid" ] || return 1
  read -r pid st < "$RUN/$1.pid" || return 1
  [ -n "$pid" ] && [ "$(starttime "$pid")" = "$st" ] && echo "$pid"
}
session_alive() { # a process of that session exists and is no zombie (PID 1 may reap late)
  # shellcheck disable=SC2009 # pgrep cannot tell a zombie
  ps -o stat= -s "$1" 2>/dev/null | grep -qv '^Z'
}
svc_stop() { # TERM to the service's own session, then KILL after a grace period
  local n=$1 pid st; [ -f "$RUN/$n.pid" ] || return 0
  read -r pid st < "$RUN/$n.pid"
  # the leader is ours, or it is gone and the session still carries its number
  if svc_pid "$n" >/dev/null || { [ -n "$pid" ] && [ ! -d "/proc/$pid" ] && session_alive "$pid"; }; then
    kill -TERM -- "-$pid" 2>/dev/null
    for _ in $(seq 1 "${2:-60}"); do session_alive "$pid" || break; sleep 0.2; done
    session_alive "$pid" && kill -KILL -- "-$pid" 2>/dev/null
  fi
  rm -f "$RUN/$n.pid"
}
svc_launch() { # name, command...: in a session of its own, pid file "pid starttime"
  local n=$1 pid; shift
  ( cd "$LAB_DIR" && exec setsid "$@" ) >>"$LOG/$n.log" 2>&1 </dev/null 9>&- &
  pid=$!
  local st=""
  for _ in 1 2 3 4 5; do st=$(starttime "$pid") && break; sleep 0.05; done
  echo "$pid $st" > "$RUN/$n.pid"
}
boot_down() { # ends every guest, then their network: taps and bridges go with the namespace
  local f pid pids=()
  for f in "$LAB_DIR"/boot/instances/*/pid; do
    [ -e "$f" ] && pid=$(cat "$f") && grep -qsF "$(basename "$(dirname "$f")")" "/proc/$pid/cmdline" && pids+=("$pid")
  done
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
  for pid in "${pids[@]}"; do
    for _ in $(seq 50); do starttime "$pid" >/dev/null || break; sleep 0.2; done
    starttime "$pid" >/dev/null && kill -KILL "$pid" 2>/dev/null
  done
  [ ! -e "$PYLIB/labnet.py" ] || ! command -v ip >/dev/null || /usr/bin/python3 "$PYLIB/labnet.py" down
}
T0=${T0:-$(date +%s.%N)}
say() { printf '[%6.1fs] %s\n' "$(echo "$(date +%s.%N) $T0" | awk '{print $1-$2}')" "$*"; }
die() { say "FAILED: $*"; exit 1; }
