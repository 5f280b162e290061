# Writes every configuration file under $ETC, and only when its text changed:
# a file newer than a service's pid file means that this service is restarted.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=common.sh
put() { # path; text on stdin
  local t; t=$(cat)
  if [ ! -f "$1" ] || [ "$(cat "$1")" != "$t" ]; then printf '%s\n' "$t" > "$1"; fi
}
db() { echo "mysql+pymysql://lab:$LAB_PASS@localhost/$1?unix_socket=$SOCK&charset=utf8"; }
auth_opts() { # service user
  cat <<X
auth_type = password
auth_url = $KS
username = $1
password = $LAB_PASS
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $LAB_REGION
X
}
authtoken() { # service user
  echo "[keystone_authtoken]"; auth_opts "$1"
  cat <<X
www_authenticate_uri = $KS
memcached_servers = 127.0.0.1:11211
token_cache_time = 3600
service_token_roles_required = false
X
}
common() { # database name
  cat <<X
[database]
connection = $(db "$1")
max_pool_size = 5
max_overflow = 80
connection_recycle_time = 3600

[oslo_messaging_rabbit]
heartbeat_in_pthread = false
rabbit_retry_interval = 1
rabbit_interval_max = 3

[oslo_messaging_notifications]
driver = noop

[oslo_concurrency]
lock_path = $LAB_DIR/lock

[oslo_middleware]
enable_proxy_headers_parsing = false

X
}
defaults() {
  cat <<X
[DEFAULT]
transport_url = rabbit://lab:$LAB_PASS@127.0.0.1:5672/
debug = false
use_syslog = false
rpc_response_timeout = 120
graceful_shutdown_timeout = 3
X
}

conf_infra() {
  put "$ETC/my.cnf" <<X
[mysqld]
user = root
datadir = $LAB_DIR/mysql
socket = $SOCK
pid-file = $RUN/mariadb.own.pid
skip-networking
skip-name-resolve
skip-log-bin
character-set-server = utf8mb3
collation-server = utf8mb3_general_ci
max_connections = 1000
performance_schema = off
innodb_buffer_pool_size = 768M
innodb_log_file_size = 256M
innodb_flush_log_at_trx_commit = 0
innodb_flush_method = nosync
innodb_doublewrite = 0
innodb_stats_persistent = 0
thread_cache_size = 200
X
  put "$ETC/rabbitmq.conf" <<X
listeners.tcp.1 = 127.0.0.1:5672
default_user = lab
default_pass = $LAB_PASS
loopback_users = none
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 200MB
X
  : > "$ETC/rabbitmq-env.conf"; echo '[].' | put "$ETC/enabled_plugins"
}

conf_keystone() {
  put "$ETC/keystone.conf" <<X
$(defaults)
$(common keystone)
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 4
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = $LAB_DIR/keystone/fernet
[credential]
key_repository = $LAB_DIR/keystone/credential
[fernet_receipts]
key_repository = $LAB_DIR/keystone/fernet
[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = 127.0.0.1:11211
expiration_time = 600
[trust]
allow_redelegation = true
[security_compliance]
# without it a Heat using trusts refuses every application credential (403, shown as 500)
allow_insecure_application_credential_trust_escalation = $LAB_APPCRED_TRUSTS
X
  put "$ETC/keystone-uwsgi.ini" <<X
[uwsgi]
plugins = python3
http-socket = 127.0.0.1:5000
wsgi-file = /usr/bin/keystone-wsgi-public
processes = 2
$(uwsgi_common)
X
}
uwsgi_common() {
  cat <<X
pythonpath = $PYLIB
import = labgc
master = true
threads = 1
enable-threads = true
lazy-apps = true
thunder-lock = true
die-on-term = true
vacuum = true
buffer-size = 65535
post-buffering = 65535
add-header = Connection: close
hook-master-start = unix_signal:15 gracefully_kill_them_all
disable-logging = true
worker-reload-mercy = 5
listen = 100
X
}

heat_limits() { # Heat's own defaults, written out so that nobody has to look them up; or every one of them lifted
  case $LAB_HEAT_LIMITS in
    production) cat <<X
max_stacks_per_tenant = 512
max_resources_per_stack = 1000
max_nested_stack_depth = 5
max_template_size = 524288
max_json_body_size = 1048576
X
    ;;
    off) cat <<X
max_stacks_per_tenant = 100000
max_resources_per_stack = -1
max_nested_stack_depth = 20
max_template_size = 5242880
max_json_body_size = 20971520
X
    ;;
  esac
}

# Who reads user data: guests do not have this machine's loopback.
user_data_host() { if has nova-compute-boot; then echo "$BOOT_ADDRESS"; else echo 127.0.0.1; fi; }

conf_heat() {
  put "$ETC/heat.conf" <<X
$(defaults)
num_engine_workers = $LAB_HEAT_ENGINES
stack_user_domain_name = heat
stack_domain_admin = heat_domain_admin
stack_domain_admin_password = $LAB_PASS
deferred_auth_method = trusts
trusts_delegated_roles =
region_name_for_services = $LAB_REGION
heat_metadata_server_url = http://$(user_data_host):8000
heat_waitcondition_server_url = http://$(user_data_host):8000/v1/waitcondition
auth_encryption_key = 0123456789abcdef0123456789abcdef
convergence_engine = true
$(heat_limits)
max_events_per_stack = 1000
hidden_stack_tags = data-processing-cluster,lab-hidden
enable_stack_abandon = true
enable_stack_adopt = true
convergence_max_worker_count = 1000
periodic_interval = 60
stack_action_timeout = 3600
client_retry_limit = 3
$(common heat)
[oslo_policy]
policy_file = $ETC/heat-policy.yaml
[heat_api]
bind_host = 127.0.0.1
bind_port = 8004
workers = 1
[heat_api_cfn]
bind_host = 127.0.0.1
bind_port = 8000
workers = 1
[paste_deploy]
api_paste_config = /etc/heat/api-paste.ini
[trustee]
auth_type = password
auth_url = $KS
username = heat
password = $LAB_PASS
user_domain_name = Default
[clients]
endpoint_type = publicURL
$(if has nova-compute-boot; then echo "[clients_heat]"; echo "url = http://$BOOT_ADDRESS:8004/v1/%(tenant_id)s"; fi)
[clients_keystone]
auth_uri = http://127.0.0.1:5000
[ec2authtoken]
auth_uri = $KS
[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = 127.0.0.1:11211
[yaql]
limit_iterators = 100000
memory_quota = 100000000
$(authtoken heat)
X
  # global_index is deny_everybody by default; let admins list every project's stacks
  put "$ETC/heat-policy.yaml" <<'X'
"stacks:global_index": "role:admin"
X
}

conf_glance() {
  put "$ETC/glance.conf" <<X
$(defaults)
bind_host = 127.0.0.1
bind_port = 9292
workers = 1
enabled_backends = lab:file
enabled_import_methods = [glance-direct]
show_multiple_locations = false
node_staging_uri = file://$LAB_DIR/glance/staging
$(common glance)
[glance_store]
default_backend = lab
[lab]
filesystem_store_datadir = $LAB_DIR/glance/images
[os_glance_staging_store]
filesystem_store_datadir = $LAB_DIR/glance/staging
[os_glance_tasks_store]
filesystem_store_datadir = $LAB_DIR/glance/tasks
[paste_deploy]
config_file = /etc/glance/glance-api-paste.ini
flavor = keystone
$(authtoken glance)
X
}

conf_placement() {
  mkdir -p "$ETC/placement"
  put "$ETC/placement/placement.conf" <<X
$(defaults)
$(common placement | sed 's/^\[database\]/[placement_database]/')
[api]
auth_strategy = keystone
$(authtoken placement)
X
  put "$ETC/placement-uwsgi.ini" <<X
[uwsgi]
plugins = python3
http-socket = 127.0.0.1:8778
wsgi-file = /usr/bin/placement-api
processes = 1
$(uwsgi_common)
X
}

# Who does not ask for the zone boot does not get its host, not even one that Nova has just lost.
zone_apart() { has nova-compute-boot || [ -e "$STAMP/cells-boot" ]; }

conf_nova() {
  local filters="enabled_filters = ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,AvailabilityZoneFilter"
  put "$ETC/nova.conf" <<X
$(defaults)
my_ip = 127.0.0.1
host = lab-compute-0
state_path = $LAB_DIR/nova
enabled_apis = osapi_compute
osapi_compute_listen = 127.0.0.1
osapi_compute_listen_port = 8774
osapi_compute_workers = 1
compute_driver = fake.FakeDriver
instances_path = $LAB_DIR/nova/instances
allow_resize_to_same_host = true
vif_plugging_is_fatal = false
vif_plugging_timeout = 0
cpu_allocation_ratio = 1000.0
ram_allocation_ratio = 1000.0
disk_allocation_ratio = 1000.0
reserved_host_memory_mb = 0
reserved_host_cpus = 0
update_resources_interval = 300
sync_power_state_interval = -1
heal_instance_info_cache_interval = -1
running_deleted_instance_action = noop
max_concurrent_builds = 20
instance_usage_audit = false
$(zone_apart && echo "default_schedule_zone = nova")
$(common nova)
[api_database]
connection = $(db nova_api)
max_pool_size = 5
max_overflow = 80
[api]
auth_strategy = keystone
max_limit = 5000
[wsgi]
api_paste_config = /etc/nova/api-paste.ini
[quota]
instances = 100000
cores = 1000000
ram = 1000000000
key_pairs = 100000
server_groups = 100000
server_group_members = 100000
metadata_items = 1000
[conductor]
workers = 1
[scheduler]
workers = 1
max_attempts = 3
discover_hosts_in_cells_interval = 300
[filter_scheduler]
track_instance_changes = false
host_subset_size = 3
$(zone_apart && echo "$filters")
[vnc]
enabled = false
[glance]
$(auth_opts nova)
[neutron]
$(auth_opts nova)
[placement]
$(auth_opts placement)
[service_user]
send_service_user_token = true
$(auth_opts nova)
[cinder]
catalog_info = volumev3::publicURL
os_region_name = $LAB_REGION
$(auth_opts nova)
[workarounds]
skip_hypervisor_version_check_on_lm = true
$(authtoken nova)
X
}

conf_nova_compute() { # the compute service must not see a database
  sed -e '/^\[api_database\]/,/^\[api\]/{/^\[api\]/!d}' -e '/^connection = /d' "$ETC/nova.conf" | put "$ETC/nova-compute.conf"
}

conf_nova_compute_boot() { # its guests' memory is real, and dead and forgotten ones are seen
  sed -e "s|^host = .*|host = lab-boot|" -e "s|^compute_driver = .*|compute_driver = labqemu.QemuDriver|" \
    -e "s|^instances_path = .*|instances_path = $LAB_DIR/boot/instances|" -e "s|^ram_allocation_ratio = .*|ram_allocation_ratio = 1.0|" \
    -e "s|^sync_power_state_interval = .*|sync_power_state_interval = 10|" \
    -e "s|^\[DEFAULT\]|&\nforce_config_drive = true\nshutdown_timeout = 180\nrunning_deleted_instance_poll_interval = 60|" \
    -e "s|^running_deleted_instance_action = .*|running_deleted_instance_action = reap|" "$ETC/nova-compute.conf" | put "$ETC/nova-compute-boot.conf"
}

conf_neutron() {
  put "$ETC/neutron.conf" <<X
$(defaults)
bind_host = 127.0.0.1
bind_port = 9696
core_plugin = ml2
service_plugins = lab_router
auth_strategy = keystone
api_workers = 2
rpc_workers = 1
rpc_state_report_workers = 0
state_path = $LAB_DIR/neutron
api_paste_config = /etc/neutron/api-paste.ini
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
dhcp_agent_notification = false
router_scheduler_driver = neutron.scheduler.l3_agent_scheduler.ChanceScheduler
max_fixed_ips_per_port = 50
pagination_max_limit = -1
global_physnet_mtu = 1500
$(common neutron)
[ml2]
type_drivers = flat,local,vxlan
tenant_network_types = vxlan
mechanism_drivers = lab
extension_drivers = port_security
[ml2_type_flat]
flat_networks = *
[ml2_type_vxlan]
vni_ranges = 1:4000
[securitygroup]
enable_security_group = true
[quotas]
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_router = -1
quota_floatingip = -1
quota_security_group = -1
quota_security_group_rule = -1
[nova]
$(auth_opts nova)
[placement]
$(auth_opts placement)
$(authtoken neutron)
X
}

conf_magnum() {
  put "$ETC/magnum.conf" <<X
$(defaults)
host = lab
state_path = $LAB_DIR/magnum
$(common magnum)
[api]
host = 127.0.0.1
port = 9511
workers = 1
api_paste_config = /etc/magnum/api-paste.ini
[conductor]
workers = 1
[certificates]
cert_manager_type = x509keypair
storage_path = $LAB_DIR/magnum/certificates
[trust]
trustee_domain_name = magnum
trustee_domain_admin_name = magnum_domain_admin
trustee_domain_admin_password = $LAB_PASS
trustee_keystone_interface = public
cluster_user_trust = true
[cluster]
etcd_discovery_service_endpoint_format = http://127.0.0.1:2381/new?size=%(size)d
[quotas]
max_clusters_per_project = 100000
[drivers]
send_cluster_metrics = false
[heat_client]
region_name = $LAB_REGION
[nova_client]
region_name = $LAB_REGION
[glance_client]
region_name = $LAB_REGION
[neutron_client]
region_name = $LAB_REGION
[cinder_client]
region_name = $LAB_REGION
[keystone_auth]
$(auth_opts magnum)
$(authtoken magnum)
X
}

conf_barbican() { # barbican takes no --config-file: it is found through HOME/.barbican
  mkdir -p "$LAB_DIR/barbican/.barbican"
  put "$LAB_DIR/barbican/.barbican/barbican.conf" <<X
$(defaults)
host_href = http://127.0.0.1:9311
db_auto_create = false
sql_connection = $(db barbican)
max_allowed_secret_in_bytes = 65536
$(common barbican)
[queue]
enable = false
[secretstore]
enabled_secretstore_plugins = store_crypto
[crypto]
enabled_crypto_plugins = simple_crypto
[simple_crypto_plugin]
kek = YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=
$(authtoken barbican)
service_type = key-manager
X
  put "$ETC/barbican-uwsgi.ini" <<X
[uwsgi]
plugins = python3
http-socket = 127.0.0.1:9311
wsgi-file = /usr/bin/barbican-wsgi-api
processes = 1
$(uwsgi_common)
X
}

conf_cinder() {
  put "$ETC/cinder.conf" <<X
$(defaults)
host = lab
my_ip = 127.0.0.1
state_path = $LAB_DIR/cinder
osapi_volume_listen = 127.0.0.1
osapi_volume_listen_port = 8776
osapi_volume_workers = 1
api_paste_config = /etc/cinder/api-paste.ini
auth_strategy = keystone
enabled_backends = lab
default_volume_type = lab
resource_query_filters_file = /etc/cinder/resource_filters.json
glance_api_servers = http://127.0.0.1:9292
quota_volumes = 100000
quota_gigabytes = 100000000
quota_snapshots = 100000
per_volume_size_limit = -1
$(common cinder)
[lab]
volume_driver = labcinder.LabVolumeDriver
volume_backend_name = lab
[nova]
$(auth_opts nova)
[service_user]
send_service_user_token = true
$(auth_opts cinder)
$(authtoken cinder)
X
}

conf_octavia() {
  put "$ETC/octavia.conf" <<X
$(defaults)
host = lab
$(common octavia)
[api_settings]
bind_host = 127.0.0.1
bind_port = 9876
enabled_provider_drivers = amphora:The no-op amphora driver,octavia:alias of amphora
default_provider_driver = amphora
allow_tls_terminated_listeners = true
auth_strategy = keystone
[oslo_messaging]
topic = octavia-rpc
[controller_worker]
workers = 1
amp_image_tag = amphora
amp_flavor_id = lab
amp_boot_network_list = 00000000-0000-0000-0000-000000000000
compute_driver = compute_noop_driver
network_driver = lab_network
amphora_driver = amphora_noop_driver
volume_driver = volume_noop_driver
image_driver = image_noop_driver
distributor_driver = distributor_noop_driver
loadbalancer_topology = SINGLE
client_ca = $LAB_DIR/octavia/ca.pem
[haproxy_amphora]
server_ca = $LAB_DIR/octavia/ca.pem
client_cert = $LAB_DIR/octavia/ca.pem
[certificates]
cert_generator = local_cert_generator
cert_manager = local_cert_manager
ca_certificate = $LAB_DIR/octavia/ca.pem
ca_private_key = $LAB_DIR/octavia/ca.key
ca_private_key_passphrase = $LAB_PASS$LAB_PASS
server_certs_key_passphrase = insecure-key-do-not-use-this-key
[local_cert_generator]
[health_manager]
heartbeat_key = lab
[quotas]
default_load_balancer_quota = -1
default_listener_quota = -1
default_member_quota = -1
default_pool_quota = -1
default_health_monitor_quota = -1
default_l7policy_quota = -1
default_l7rule_quota = -1
[service_auth]
$(auth_opts octavia)
[glance]
region_name = $LAB_REGION
[neutron]
region_name = $LAB_REGION
[nova]
region_name = $LAB_REGION
[task_flow]
max_workers = 5
$(authtoken octavia)
X
  put "$ETC/octavia-uwsgi.ini" <<X
[uwsgi]
plugins = python3
http-socket = 127.0.0.1:9876
wsgi-file = /usr/bin/octavia-wsgi
pyargv = --config-file $ETC/octavia.conf
processes = 1
$(uwsgi_common)
X
}

conf_of() { # service -> the files it reads
  case $1 in
    mariadb) echo "$ETC/my.cnf";; rabbitmq) echo "$ETC/rabbitmq.conf";;
    keystone) echo "$ETC/keystone.conf $ETC/keystone-uwsgi.ini";;
    heat-engine|heat-api-cfn) echo "$ETC/heat.conf $PYLIB/labheat.py";;
    heat-*) echo "$ETC/heat.conf";; glance) echo "$ETC/glance.conf";;
    placement) echo "$ETC/placement/placement.conf $ETC/placement-uwsgi.ini";;
    nova-compute) echo "$ETC/nova-compute.conf $PYLIB/labcompute.py";;
    nova-compute-boot) echo "$ETC/nova-compute-boot.conf $PYLIB/labqemu.py $PYLIB/labguest.py $PYLIB/labnet.py";;
    boot-forward) echo "$PYLIB/labforward.py $PYLIB/labnet.py";;
    nova-*) echo "$ETC/nova.conf";;
    neutron) echo "$ETC/neutron.conf $PYLIB/labneutron.py";;
    discovery-stub) echo "$PYLIB/labdiscovery.py";; magnum-*) echo "$ETC/magnum.conf";;
    barbican) echo "$LAB_DIR/barbican/.barbican/barbican.conf $ETC/barbican-uwsgi.ini";;
    cinder-volume) echo "$ETC/cinder.conf $PYLIB/labcinder.py $PYLIB/labvolume.py";;
    cinder-*) echo "$ETC/cinder.conf";;
    octavia-api) echo "$ETC/octavia.conf $ETC/octavia-uwsgi.ini $PYLIB/laboctavia.py";;
    octavia-*) echo "$ETC/octavia.conf $PYLIB/laboctavia.py";;
  esac
}
