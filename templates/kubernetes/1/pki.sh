# shellcheck shell=bash
# Keys of the cluster's authorities, and the certificates that a master makes
# with them. A key is never on a command line, nor on the disk for others.
pki=/etc/kubernetes/pki
files='ca.crt ca.key etcd/ca.crt etcd/ca.key front-proxy-ca.crt front-proxy-ca.key sa.pub sa.key'
[ "${EXTERNAL_CLOUD:-}" != true ] || files="$files cloud.conf"

# curl takes headers from its standard input, which ps does not show.
openstack() { # curl's arguments; standard input: more of its configuration
  local ca=/etc/jeroboam/openstack-ca.pem
  [ -e "$ca" ] && set -- --cacert "$ca" "$@"
  curl -fsS --retry 5 --retry-delay 3 --retry-connrefused -K - "$@"
}

quoted() { printf %s "$1" | sed 's/[\\"]/\\&/g'; }

token() {
  local body
  body=$(printf '{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"%s","secret":"%s"}}}}' \
    "$(quoted "$APPCRED_ID")" "$(quoted "$APPCRED_SECRET")")
  openstack -o /dev/null -D - -H 'Content-Type: application/json' "${KEYSTONE_URL%/}/auth/tokens" <<<"data = \"$(quoted "$body")\"" |
    sed -n 's/^[Xx]-[Ss]ubject-[Tt]oken: *\([^[:space:]]*\).*/\1/p'
}

secret() { # token, file, id or URL
  local url=$3
  [ "$url" != "${url#*://}" ] || url=${BARBICAN_URL%/}/v1/secrets/$url
  mkdir -p "$(dirname "$pki/$2")"
  (umask 077 && openstack -H 'Accept: text/plain' -o "$pki/$2.part" "$url/payload" <<<"header = \"X-Auth-Token: $1\"")
  take "$pki/$2.part" "$2"
}

# A text in its place, if it is PEM.
take() { # where it is now, file
  grep -q -e '-----BEGIN ' "$1" || { rm -f "$1"; echo "what is stored for $2 is not PEM"; return 1; }
  chmod 600 "$1"
  mkdir -p "$(dirname "$pki/$2")"
  mv "$1" "$pki/$2"
}

# What user data brought. It is unpacked whole beside its place first: what is cut
# short must not look like a key.
unpack() {
  local file part=/etc/kubernetes/pki.part
  rm -rf "$part"
  (umask 077 && mkdir -p "$part" && base64 -d <<<"$PKI" | tar -xz --no-same-owner --no-same-permissions -C "$part") ||
    { rm -rf "$part"; echo "PKI is no .tar.gz in base64"; return 1; }
  for file in $files; do
    if [ ! -s "$pki/$file" ] && [ -f "$part/$file" ]; then take "$part/$file" "$file"; fi
  done
  rm -rf "$part"
}

# Stores take PEM only, so the cloud's configuration comes in its clothes.
cloud_conf() {
  local text
  text=$(sed '/^-----/d' "$pki/cloud.conf" | base64 -d) || text=
  [ -n "$text" ] || { echo "cloud.conf has no base64 between its lines of PEM"; return 1; }
  put 600 /etc/kubernetes/cloud.conf <<<"$text"
}

step_keys() {
  local file entry auth=
  KEYS='' PKI=''
  secrets
  [ -z "$PKI" ] || unpack
  for file in $files; do
    [ ! -s "$pki/$file" ] || { chmod 600 "$pki/$file"; continue; }
    entry=
    for entry in $KEYS ''; do [ "${entry%%=*}" != "$file" ] || break; done
    [ -n "$entry" ] || { echo "$pki/$file is missing, and neither PKI nor KEYS has it: look at secrets.env"; return 1; }
    [ -n "$auth" ] || auth=$(token)
    [ -n "$auth" ] || { echo "Keystone gave nothing for the application credential $APPCRED_ID"; return 1; }
    secret "$auth" "$file" "${entry#*=}"
  done
  [ "${EXTERNAL_CLOUD:-}" != true ] || cloud_conf
}

# kubeadm makes etcd's certificates for an etcd of its own only, and sends the
# API server to ours only with another configuration: hence two.
step_certificates() {
  local config
  config=$(kubeadm_config local)
  put 600 /etc/jeroboam/kubeadm-certs.yaml <<<"$config"
  kubeadm init phase certs all --config /etc/jeroboam/kubeadm-certs.yaml
}
