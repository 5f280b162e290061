"""One guest: a folder, and while it runs a QEMU process that outlives whoever
started it. Knows nothing of Nova.

    base.qcow2 vmlinuz initrd   the golden base, linked: a new base does not pull the old one away
    disk.qcow2 config.iso       its own disk on top of that, Nova's config drive
    console.log                 what it wrote to its serial port, all boots
    pid qmp                     the process, and the socket on which it is told things
    taps                        those it was started with

command() is pure; Guest acts. Volumes sit in slots (PCI root ports), as only
those take and give disks while it runs; a device's name says slot and volume."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import labclock
import labnet

QEMU = os.path.join(os.environ.get("JEROBOAM_BOOT_CACHE", "/var/cache/jeroboam-boot"), "qemu", "qemu-system-x86_64")
SLOTS = 8  # for volumes
MIN_MEMORY, MAX_MEMORY, MAX_CPUS = 1024, 3072, 2  # MiB; what an emulated node needs, and this machine can give
# An emulated clock is found wanting at boot and then every timer costs an
# emulated device: the three about the clock settle that. Setting a timer costs
# one too: with a tick alone (highres) two processes that talk through pipes take
# turns three times as fast. There is no IPv6 here. Names of the base are fixed: root by label, eth0.
KERNEL = ("root=LABEL=root ro console=ttyS0 net.ifnames=0 mitigations=off tsc=reliable clocksource=tsc "
          "no_timer_check ipv6.disable=1 random.trust_cpu=on systemd.show_status=0 quiet")
# What nested pages and guests would need only makes page walks longer, and an
# emulated string instruction goes byte by byte: a new page takes three times
# as long, a file's copy four, as where the kernel thinks them slow. Code is
# translated once for each address that it is found at: a third of a boot went
# into the same libraries at random ones.
EMULATED = ("tcg,thread=multi,tb-size=512", "max,la57=off,svm=off,vmx=off,erms=off,fsrm=off",
            "highres=off clearcpuid=rep_good norandmaps cryptomgr.notests")


class GuestError(Exception):
    """What QEMU said, or did not do in time."""


class Volume:
    def __init__(self, path, format, id):
        self.path, self.format, self.serial = path, format, id[:20]  # virtio has no room for more
        self.node = "v" + self.serial

    def blockdev(self):
        return {"driver": self.format, "node-name": self.node, "cache": {"no-flush": True},
                "file": {"driver": "file", "filename": self.path}}

    def device(self, slot):
        return {"driver": "virtio-blk-pci", "drive": self.node, "serial": self.serial,
                "id": "s%d-%s" % (slot, self.node), "bus": "slot%d" % slot}


def command(folder, uuid, accel, memory, cpus, nics, volumes, own_disk=True, khz=0):
    """QEMU's words. nics: (tap, MAC); volumes: Volume..., the root's first
    when the guest has no disk of its own; khz: of this machine's counter, or 0."""
    def at(name):
        return os.path.join(folder, name)
    engine, cpu, kernel = {"kvm": ("kvm", "host", ""), "tcg": EMULATED}[accel]
    kernel = " ".join(filter(None, (KERNEL, kernel, khz and "tsc_early_khz=%d" % khz)))
    words = [QEMU, "-name", uuid, "-uuid", uuid, "-machine", "q35,hpet=off,smm=off,vmport=off"]
    words += ["-accel", engine, "-cpu", cpu, "-smp", str(min(cpus, MAX_CPUS)), "-m", str(max(MIN_MEMORY, min(memory, MAX_MEMORY))),
              "-nodefaults", "-no-user-config", "-display", "none", "-daemonize", "-pidfile", at("pid"),
              "-chardev", "file,id=console,path=%s,append=on" % at("console.log"), "-serial", "chardev:console",
              "-qmp", "unix:%s,server=on,wait=off" % at("qmp"),
              "-kernel", at("vmlinuz"), "-initrd", at("initrd"), "-append", kernel, "-device", "virtio-rng-pci"]
    if own_disk:
        words += ["-drive", "file=%s,if=virtio,cache=unsafe,aio=threads" % at("disk.qcow2")]
    words += ["-drive", "file=%s,if=virtio,format=raw,readonly=on" % at("config.iso")]
    for i, (tap, mac) in enumerate(nics):
        words += ["-netdev", "tap,id=n%d,ifname=%s,script=no,downscript=no" % (i, tap),
                  "-device", "virtio-net-pci,netdev=n%d,mac=%s,romfile=" % (i, mac)]
    for slot in range(SLOTS):
        words += ["-device", "pcie-root-port,id=slot%d,chassis=%d,slot=%d" % (slot, slot + 1, slot)]
    for slot, volume in enumerate(volumes):
        words += ["-blockdev", json.dumps(volume.blockdev()), "-device", json.dumps(volume.device(slot))]
    return words


class Monitor:
    """QMP, one conversation: with Monitor(path) as tell: tell("stop")."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.gone = set()  # devices that the guest gave back
        self.lines.readline()
        self("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def __call__(self, what, **arguments):
        self.socket.sendall(json.dumps({"execute": what, "arguments": arguments}).encode() + b"\n")
        while True:
            heard = json.loads(self.lines.readline() or b'{"error": {"desc": "QEMU ended"}}')
            if "error" in heard:
                raise GuestError("%s: %s" % (what, heard["error"]["desc"]))
            if "return" in heard:
                return heard["return"]
            if heard.get("event") == "DEVICE_DELETED":
                self.gone.add(heard["data"].get("device"))

    def devices(self):
        """slot -> name, of the volumes"""
        names = [d["name"] for d in self("qom-list", path="/machine/peripheral")]
        return {int(n[1:].split("-")[0]): n for n in names if n.startswith("s") and "-v" in n}


class Guest:
    def __init__(self, folder):
        self.folder, self.uuid = folder, os.path.basename(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def exists(self):
        return os.path.isdir(self.folder)

    def pid(self):
        """Of the process, if that runs and is this guest's."""
        try:
            with open(self.path("pid")) as f:
                pid = int(f.read())
            with open("/proc/%d/cmdline" % pid) as f:  # a zombie has none
                return pid if self.uuid in f.read().split("\0") else None
        except (OSError, ValueError):
            return None

    def create(self, base, own_disk=True):
        """The folder and the disk. base: a folder with disk.qcow2, vmlinuz and
        initrd that is whole: it has a stamp."""
        for what, at in ("golden base", os.path.join(base, "stamp")), ("QEMU", QEMU):
            if not os.path.exists(at):
                raise GuestError("there is no %s in %s: make boot-mirror builds it" % (what, os.path.dirname(at)))
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        for name, link in (("disk.qcow2", "base.qcow2"), ("vmlinuz", "vmlinuz"), ("initrd", "initrd")):
            _link(os.path.realpath(os.path.join(base, name)), self.path(link))
        if own_disk:
            _do("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.path("base.qcow2"),
                self.path("disk.qcow2"))

    def start(self, accel, memory, cpus, nics, volumes):
        if self.pid():
            return
        with open(self.path("taps"), "w") as f:
            f.write(" ".join(tap for tap, _ in nics))
        words = command(self.folder, self.uuid, accel, memory, cpus, nics, volumes,
                        own_disk=os.path.exists(self.path("disk.qcow2")), khz=labclock.tsc_khz() if accel == "tcg" else 0)
        # emulation takes all the time it gets: the lab's services go first
        _do("ip", "netns", "exec", labnet.NAMESPACE, "nice", "-n", "5", *words)

    def taps(self):
        try:
            with open(self.path("taps")) as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def lose(self, tap):
        """The tap is no longer this guest's, whether it runs or not."""
        had = self.taps()
        with open(self.path("taps"), "w") as f:
            f.write(" ".join(t for t in had if t != tap))
        if tap in had and self.pid():
            with Monitor(self.path("qmp")) as tell:
                tell("set_link", name="n%d" % had.index(tap), up=False)

    def shut_down(self, seconds, again=10):
        """Presses the power button until the guest is off; tells whether it is."""
        end, next_press = time.time() + seconds, 0
        while self.pid() and time.time() < end:
            if time.time() >= next_press:
                self._press()
                next_press = time.time() + again
            time.sleep(0.5)
        return not self.pid()

    def _press(self):
        try:
            with Monitor(self.path("qmp")) as tell:
                tell("system_powerdown")
        except (OSError, GuestError):
            pass  # it may have ended just now; if not, the button is pressed again

    def kill(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(50):
                pid = self.pid()
                if not pid:
                    return
                os.kill(pid, sign)
                time.sleep(0.2)
        raise GuestError("process %s of guest %s does not end" % (self.pid(), self.uuid))

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def attach(self, volume):
        with Monitor(self.path("qmp")) as tell:
            used = tell.devices()
            free = next((s for s in range(SLOTS) if s not in used), None)
            if free is None:
                raise GuestError("all %d slots for volumes are taken" % SLOTS)
            tell("blockdev-add", **volume.blockdev())
            try:
                tell("device_add", **volume.device(free))
            except GuestError:
                tell("blockdev-del", **{"node-name": volume.node})
                raise

    def detach(self, volume, seconds=120):
        """Asks until the guest gives it back: one that boots does not listen yet."""
        with Monitor(self.path("qmp")) as tell:
            name = next((n for n in tell.devices().values() if n.endswith("-" + volume.node)), None)
            end = time.time() + seconds
            while name and name in tell.devices().values():
                if time.time() > end:
                    raise GuestError("the guest did not give back volume %s" % volume.serial)
                try:
                    tell("device_del", id=name)
                except GuestError:
                    pass  # it is being unplugged already
                time.sleep(5 if name not in tell.gone else 0)
            if any(n["node-name"] == volume.node for n in tell("query-named-block-nodes")):
                tell("blockdev-del", **{"node-name": volume.node})

    def resize(self, volume, size):
        with Monitor(self.path("qmp")) as tell:
            tell("block_resize", **{"node-name": volume.node, "size": size})

    def console(self, length):
        try:
            with open(self.path("console.log"), "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - length))
                return f.read()
        except FileNotFoundError:
            return b""


def accelerator(base, note):
    """kvm where the base's kernel says something under it within some seconds,
    else tcg. A host may have /dev/kvm and run only kernels made for it. The
    answer is kept in note."""
    try:
        with open(note) as f:
            return f.read().strip()
    except FileNotFoundError:
        answer = "kvm" if os.path.exists("/dev/kvm") and _speaks(base) else "tcg"
    with open(note, "w") as f:
        f.write(answer + "\n")
    return answer


def _speaks(base, seconds=8):
    words = [QEMU, "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512", "-nodefaults",
             "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
             "-kernel", os.path.join(base, "vmlinuz"), "-append", "console=ttyS0 earlyprintk=serial panic=-1"]
    try:
        heard = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds).stdout
    except subprocess.TimeoutExpired as e:
        heard = e.stdout or b""
    return b"Linux version" in heard


def _link(source, target):
    if os.path.lexists(target):
        os.remove(target)
    try:
        os.link(source, target)
    except OSError:  # another file system
        os.symlink(source, target)


def _do(*words):
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise GuestError("%s: %s" % (words[0], (done.stderr or done.stdout).strip()[-500:]))
