"""Volumes of servers that boot: a file each, made when such a server gets the
volume for the first time. Fakes never do, so theirs stay without one.

One that is made from an image with a golden base (lab_base) is a disk on top
of that base; every other one is empty and sparse."""
import os
import subprocess

BOOT_HOST = "lab-boot"
FOLDER = os.path.join(os.environ.get("LAB_DIR", "/var/lib/openstack-lab"), "boot", "volumes")
CACHE = os.environ.get("JEROBOAM_BOOT_CACHE", "/var/cache/jeroboam-boot")


def find(id):
    """(path, format) of a volume's file, or None."""
    for format in ("raw", "qcow2"):
        path = os.path.join(FOLDER, "%s.%s" % (id, format))
        if os.path.exists(path):
            return path, format
    return None


def make(id, gigabytes, base=None):
    """The volume's (path, format), made if need be."""
    if not find(id):
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        path = os.path.join(FOLDER, id)
        if base:
            disk = os.path.realpath(os.path.join(CACHE, os.path.basename(base), "disk.qcow2"))
            os.link(disk, path + ".base")  # a new base does not pull the old one away
            _qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", path + ".base",
                      path + ".qcow2", "%dG" % gigabytes)
        else:
            with open(path + ".raw", "xb") as f:
                f.truncate(gigabytes * 2**30)
    return find(id)


def extend(id, gigabytes):
    path, format = find(id) or (None, None)
    if format == "raw":
        os.truncate(path, gigabytes * 2**30)
    elif format:
        try:
            _qemu_img("resize", "-q", "-f", format, path, "%dG" % gigabytes)
        except subprocess.CalledProcessError:
            pass  # a running guest has it locked, and its QEMU does this (labqemu's extend_volume)


def remove(id):
    for name in ("raw", "qcow2", "base"):
        try:
            os.remove(os.path.join(FOLDER, "%s.%s" % (id, name)))
        except FileNotFoundError:
            pass


def _qemu_img(*words):
    subprocess.run(("qemu-img",) + words, check=True, capture_output=True, text=True)
