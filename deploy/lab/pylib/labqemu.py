"""A Nova virt driver whose servers boot: guests under QEMU (labguest.py) on
taps in a namespace (labnet.py), for the one host of the availability zone boot.

What it needs of a server's image is the property lab_base, the name of a golden
base below JEROBOAM_BOOT_CACHE; the image's own content is not read. Addresses
come with the config drive. What it cannot do it refuses, unlike its parent,
which says yes to everything."""
import os
import sys

import nova.cmd  # noqa: F401 (monkey patching first)
import eventlet
from nova.api.metadata import base as instance_metadata
from nova.compute import power_state
import nova.conf
from nova import context as nova_context
from nova import exception
from nova.network import model
from nova.network import neutron
from nova.objects import fields
from nova.virt import configdrive
from nova.virt import driver
from nova.virt import fake
from nova.virt import hardware
from nova.virt import netutils
from oslo_log import log as logging

import labguest
import labnet

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)
CACHE = os.environ.get("JEROBOAM_BOOT_CACHE", "/var/cache/jeroboam-boot")
FOLLOW_SECONDS = 3  # how late routers and floating IPs may be
CONSOLE_BYTES = 100 * 1024


class QemuDriver(fake.FakeDriver):
    capabilities = dict(
        fake.FakeDriver.capabilities, has_imagecache=False, supports_evacuate=False,
        supports_attach_interface=False, supports_device_tagging=False,
        supports_tagged_attach_interface=False, supports_tagged_attach_volume=False,
        supports_multiattach=False, supports_trusted_certs=False, supports_accelerators=False,
        supports_remote_managed_ports=False, supports_image_type_qcow2=True)

    # the lab's own services keep 6 GiB
    memory_mb = max(2048, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 - 6144)

    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        self.host_status_base.update(hypervisor_type="QEMU", supported_instances=[
            (fields.Architecture.X86_64, fields.HVType.QEMU, fields.VMMode.HVM)])
        self._rules = None

    def init_host(self, host):
        super().init_host(host)
        os.makedirs(CONF.instances_path, exist_ok=True)
        eventlet.spawn(self._follow)

    # Guests are what is on the disk, so that a new process finds the old one's.

    def _guest(self, instance, missing_ok=False):
        guest = labguest.Guest(os.path.join(CONF.instances_path, instance.uuid))
        if not guest.exists() and not missing_ok:
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return guest

    def list_instance_uuids(self):
        return sorted(os.listdir(CONF.instances_path))

    list_instances = list_instance_uuids

    def instance_exists(self, instance):
        return self._guest(instance, missing_ok=True).exists()

    def get_info(self, instance, use_cache=True):
        return hardware.InstanceInfo(
            state=power_state.RUNNING if self._guest(instance).pid() else power_state.SHUTDOWN)

    def get_console_output(self, context, instance):
        return self._guest(instance).console(CONSOLE_BYTES)

    # Life

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations,
              network_info=None, block_device_info=None, power_on=True, accel_info=None):
        base = instance.system_metadata.get("image_lab_base")
        if not base or os.path.basename(base) != base:
            raise exception.BuildAbortException(
                instance_uuid=instance.uuid, reason="servers of this zone boot: their image names a golden base "
                "in its property lab_base, as debian-boot does, and this one's is %r" % base)
        guest = self._guest(instance, missing_ok=True)
        try:
            guest.create(os.path.join(CACHE, base), own_disk=not _root_is_volume(block_device_info))
            _config_drive(instance, injected_files, admin_password, network_info, guest.path("config.iso"))
            if power_on:
                self.power_on(context, instance, network_info, block_device_info)
        except (labguest.GuestError, labnet.NetworkError) as e:  # there is no other host to try
            raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=str(e))

    def power_on(self, context, instance, network_info, block_device_info=None, accel_info=None):
        guest = self._guest(instance)
        self.plug_vifs(instance, network_info)
        accel = labguest.accelerator(guest.folder, os.path.join(os.path.dirname(CONF.instances_path), "accel"))
        guest.start(accel, instance.flavor.memory_mb, instance.flavor.vcpus,
                    [(labnet.tap_of(vif["id"]), vif["address"]) for vif in network_info],
                    [_volume(bdm["connection_info"]) for bdm in _mapping(block_device_info)])
        self._sync(context)
        LOG.info("Guest runs under %s", accel, instance=instance)

    def power_off(self, instance, timeout=0, retry_interval=0):
        guest = self._guest(instance)
        if not timeout or not guest.shut_down(timeout, retry_interval or timeout):
            guest.kill()

    def reboot(self, context, instance, network_info, reboot_type, block_device_info=None,
               bad_volumes_callback=None, accel_info=None):
        self.power_off(instance, CONF.shutdown_timeout if reboot_type == "SOFT" else 0, 10)
        self.power_on(context, instance, network_info, block_device_info)

    def destroy(self, context, instance, network_info, block_device_info=None, destroy_disks=True,
                destroy_secrets=True):
        guest = self._guest(instance, missing_ok=True)
        guest.kill()
        for tap in guest.taps():  # a port may be gone from Neutron, and so from network_info
            labnet.unplug(tap)
        self.unplug_vifs(instance, network_info)
        if destroy_disks:
            guest.remove()

    def cleanup(self, context, instance, network_info, block_device_info=None, destroy_disks=True,
                migrate_data=None, destroy_vifs=True, destroy_secrets=True):
        self.destroy(context, instance, network_info, block_device_info, destroy_disks)

    # Network

    def plug_vifs(self, instance, network_info):
        for vif in network_info or []:
            network = vif["network"]
            labnet.plug(vif["id"], network["id"],
                        [(s["cidr"], (s["gateway"] or {}).get("address")) for s in network["subnets"]
                         if s["version"] == 4], network.get_meta("mtu") or 1500)

    def unplug_vifs(self, instance, network_info):
        for vif in network_info or []:
            labnet.unplug(labnet.tap_of(vif["id"]))

    def detach_interface(self, context, instance, vif):
        """Its cable is pulled: Heat does that to a server before another one
        takes over its port, whose tap has the same name."""
        self._guest(instance).lose(labnet.tap_of(vif["id"]))
        labnet.unplug(labnet.tap_of(vif["id"]))

    def _follow(self):
        """Keeps routers and floating IPs as Neutron has them, while there is a guest."""
        while True:
            eventlet.sleep(FOLLOW_SECONDS)
            try:
                self._sync(nova_context.get_admin_context())
            except Exception as e:  # the next look may do better
                LOG.warning("The guests' network is not as Neutron has it: %s", e)

    def _sync(self, context):
        plugged, rules = labnet.taps(), labnet.rules({}, [])
        if plugged:  # else Neutron need not be asked
            client = neutron.get_client(context, admin=True)
            rules = labnet.wanted(plugged, client.list_floatingips()["floatingips"], client.list_ports(
                device_owner="network:router_interface")["ports"])
        if rules != self._rules:
            labnet.apply(rules)
            self._rules = rules

    # Volumes

    def attach_volume(self, context, connection_info, instance, mountpoint, disk_bus=None, device_type=None,
                      encryption=None):
        guest = self._guest(instance)
        if guest.pid():
            guest.attach(_volume(connection_info))

    def detach_volume(self, context, connection_info, instance, mountpoint, encryption=None):
        guest = self._guest(instance, missing_ok=True)
        if guest.pid():
            try:
                guest.detach(_volume(connection_info))
            except labguest.GuestError as e:
                raise exception.DeviceDetachFailed(device=mountpoint, reason=str(e))

    def extend_volume(self, context, connection_info, instance, requested_size):
        guest = self._guest(instance)
        if guest.pid():
            guest.resize(_volume(connection_info), requested_size)

    # Refused

    def migrate_disk_and_power_off(self, context, instance, *args, **kwargs):
        raise exception.InstanceFaultRollback(exception.ResizeError(reason="guests of this host keep their flavor"))

    def _refuse(self, *args, **kwargs):
        raise NotImplementedError("guests of this host do not do that")

    snapshot = pause = unpause = suspend = resume = rescue = unrescue = swap_volume = _refuse
    attach_interface = live_migration = set_admin_password = _refuse


def _mapping(block_device_info):
    """Attached volumes, the root first."""
    found = driver.block_device_info_get_mapping(block_device_info)
    return sorted(found, key=lambda bdm: bdm.get("boot_index") != 0)


def _root_is_volume(block_device_info):
    return any(bdm.get("boot_index") == 0 for bdm in _mapping(block_device_info))


def _volume(connection_info):
    data = connection_info["data"]
    return labguest.Volume(data["path"], data["format"], data["volume_id"])


def _config_drive(instance, injected_files, admin_password, network_info, path):
    """As Nova makes it, but for addresses: no DHCP server answers in the lab,
    whatever a subnet says."""
    static = model.NetworkInfo.hydrate(network_info.json())
    for vif in static:
        for subnet in vif["network"]["subnets"]:
            subnet["meta"].pop("dhcp_server", None)
    metadata = instance_metadata.InstanceMetadata(
        instance, content=injected_files, extra_md={"admin_pass": admin_password} if admin_password else {},
        network_info=network_info, network_metadata=netutils.get_network_metadata(static))
    with configdrive.ConfigDriveBuilder(instance_md=metadata) as drive:
        drive.make_drive(path)


def main():
    """nova-compute with this driver, which Nova wants below nova.virt."""
    from nova.cmd import compute
    sys.modules["nova.virt.labqemu"] = sys.modules[__name__]
    compute.main()
