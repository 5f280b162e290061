#!/usr/bin/python3
"""Seeds the lab, idempotently: seed.py identity|resources <profile>."""
import os
import subprocess
import sys

import openstack

PASS = os.environ.get("LAB_PASS", "lab")
REGION = os.environ.get("LAB_REGION", "RegionOne")
LAB_DIR = os.environ.get("LAB_DIR", "/var/lib/openstack-lab")
KS = "http://127.0.0.1:5000/v3"
HOST = "http://127.0.0.1"
SERVICES = {  # name: (type, url, profile)
    "heat": ("orchestration", HOST + ":8004/v1/%(tenant_id)s", "core"),
    "heat-cfn": ("cloudformation", HOST + ":8000/v1", "core"),
    "glance": ("image", HOST + ":9292", "full"),
    "placement": ("placement", HOST + ":8778", "full"),
    "nova": ("compute", HOST + ":8774/v2.1", "full"),
    "neutron": ("network", HOST + ":9696", "full"),
    "magnum": ("container-infra", HOST + ":9511/v1", "full"),
    "barbican": ("key-manager", HOST + ":9311", "all"),
    "cinderv3": ("volumev3", HOST + ":8776/v3/%(project_id)s", "all"),
    "cinder": ("block-storage", HOST + ":8776/v3/%(project_id)s", "all"),
    "octavia": ("load-balancer", HOST + ":9876", "all"),
}
RANK = {"core": 0, "full": 1, "all": 2, "boot": 3}
USERS = ["heat", "glance", "placement", "nova", "neutron", "magnum",
         "barbican", "cinder", "octavia"]


def connect(user="admin"):
    return openstack.connect(
        load_yaml_config=False, load_envvars=False, auth_url=KS, username=user,
        password=PASS, project_name=user, user_domain_name="Default",
        project_domain_name="Default", region_name=REGION,
        identity_api_version="3", interface="public")


def log(*a):
    print(*a, flush=True)


def identity(profile):
    c = connect()
    ks = c.identity
    roles = {r.name: r for r in ks.roles()}
    for n in ("service", "heat_stack_owner", "heat_stack_user", "creator",
              "observer", "load-balancer_member", "load-balancer_admin"):
        if n not in roles:
            roles[n] = ks.create_role(name=n)
    domains = {d.name: d for d in ks.domains()}
    for n in ("heat", "magnum"):
        if n not in domains:
            domains[n] = ks.create_domain(
                name=n, description="Owns users and projects created by " + n)
    projects = {p.name: p for p in ks.projects(domain_id="default")}
    for n in ("service", "demo", "demo2"):
        if n not in projects:
            projects[n] = ks.create_project(name=n, domain_id="default")

    def user(name, domain="default", project=None):
        u = next(iter(ks.users(name=name, domain_id=domain)), None)
        if u is None:
            u = ks.create_user(name=name, domain_id=domain, password=PASS,
                               default_project_id=project)
        return u

    def grant(project, u, *names):
        for n in names:
            c.session.put(KS + "/projects/%s/users/%s/roles/%s"
                          % (project.id, u.id, roles[n].id))

    for n in USERS:
        grant(projects["service"], user(n), "admin", "service")
    for n in ("heat", "magnum"):
        d = domains[n]
        u = user(n + "_domain_admin", d.id)
        c.session.put(KS + "/domains/%s/users/%s/roles/%s"
                      % (d.id, u.id, roles["admin"].id))
    admin = user("admin")
    grant(projects["admin"], admin, "heat_stack_owner", "creator",
          "load-balancer_admin", "member", "reader")
    for n in ("demo", "demo2"):
        u = user(n, project=projects[n].id)
        grant(projects[n], u, "member", "reader", "heat_stack_owner",
              "creator", "load-balancer_member")
    # what a plan should get by with; Zed's default policies would let it write, too
    grant(projects["demo"], user("viewer", project=projects["demo"].id), "reader")
    grant(projects["demo"], admin, "admin", "heat_stack_owner")

    have = {s.name: s for s in ks.services()}
    eps = {(e.service_id, e.interface) for e in ks.endpoints()}
    for n, (typ, url, prof) in SERVICES.items():
        if RANK[prof] > RANK[profile]:
            continue
        if n not in have:
            have[n] = ks.create_service(name=n, type=typ)
        for i in ("public", "internal", "admin"):
            if (have[n].id, i) not in eps:
                ks.create_endpoint(service_id=have[n].id, interface=i, url=url,
                                   region_id=REGION)
    log("identity ok")


def resources(profile):
    c = connect()
    demo = connect("demo")
    # flavors
    have = {f.name for f in c.compute.flavors(get_extra_specs=False)}
    for n, ram, vcpus, disk in (
            ("m1.tiny", 512, 1, 1), ("m1.small", 2048, 1, 20),
            ("m1.medium", 4096, 2, 40), ("m1.large", 8192, 4, 80)):
        if n not in have:
            c.compute.create_flavor(name=n, ram=ram, vcpus=vcpus, disk=disk)
    # keypair
    if demo.compute.find_keypair("testkey") is None:
        key = os.path.join(LAB_DIR, "testkey")
        if not os.path.exists(key):
            subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N",
                            "", "-C", "lab", "-f", key], check=True)
        with open(key + ".pub") as f:
            pub = f.read().strip()
        demo.compute.create_keypair(name="testkey", public_key=pub)
        if c.compute.find_keypair("testkey") is None:
            c.compute.create_keypair(name="testkey", public_key=pub)
    # images
    img = os.path.join(LAB_DIR, "tiny.qcow2")
    if not os.path.exists(img):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", img, "1G"],
                       check=True)
    have = {i.name for i in c.image.images()}
    for n, distro, ver in (
            ("fedora-coreos-latest", "fedora-coreos", "35"),
            ("fedora-coreos-next", "fedora-coreos", "36"),
            ("fedora-atomic-latest", "fedora-atomic", "29"),
            ("coreos-latest", "coreos", "2600"),
            ("ubuntu-latest", "ubuntu", "22.04"),
            ("ubuntu-next", "ubuntu", "24.04"),
            ("debian-latest", "debian", "12")):
        if n not in have:
            i = c.image.create_image(
                name=n, container_format="bare", disk_format="qcow2",
                visibility="public", os_distro=distro, os_version=ver,
                filename=img, validate_checksum=False, wait=True)
            log("image", n, i.status)
    # external network
    net = c.network.find_network("public")
    if net is None:
        net = c.network.create_network(
            name="public", is_router_external=True,
            provider_network_type="flat", provider_physical_network="public")
    if not list(c.network.subnets(network_id=net.id)):
        c.network.create_subnet(
            name="public-subnet", network_id=net.id, ip_version=4,
            cidr="172.24.0.0/16", gateway_ip="172.24.0.1",
            enable_dhcp=False)
    # a ready-made private network for the demo project
    pn = demo.network.find_network("private")
    if pn is None:
        pn = demo.network.create_network(name="private")
        s = demo.network.create_subnet(
            name="private-subnet", network_id=pn.id, ip_version=4,
            cidr="10.20.0.0/16")
        r = demo.network.create_router(
            name="router1", external_gateway_info={"network_id": net.id})
        demo.network.add_interface_to_router(r, subnet_id=s.id)
    if RANK[profile] >= 2:
        if not any(t.name == "lab" for t in c.block_storage.types()):
            c.block_storage.create_type(
                name="lab", extra_specs={"volume_backend_name": "lab"})
    if RANK[profile] >= 3:
        boot(c)
    log("resources ok")


def boot(c):
    """What servers that boot need: a zone of their host, sizes, an image."""
    if c.compute.find_aggregate("boot") is None:
        a = c.compute.create_aggregate(name="boot", availability_zone="boot")
        c.compute.add_host_to_aggregate(a, "lab-boot")
    # kubeadm wants two CPUs of a master. A worker has one: emulated CPUs that wait
    # for each other cost more than they do, as soon as there are more than real ones.
    have = {f.name: f for f in c.compute.flavors(get_extra_specs=False)}
    for n, cpus, ram in ("boot.master", 2, 3072), ("boot.worker", 1, 1536):
        if n in have and (have[n].vcpus, have[n].ram) != (cpus, ram):
            c.compute.delete_flavor(have.pop(n))
        if n not in have:
            c.compute.create_flavor(name=n, ram=ram, vcpus=cpus, disk=10)
    if c.image.find_image("debian-boot") is None:
        c.image.create_image(
            name="debian-boot", container_format="bare", disk_format="qcow2",
            visibility="public", os_distro="debian", os_version="13",
            lab_base="base", filename=os.path.join(LAB_DIR, "tiny.qcow2"),
            validate_checksum=False, wait=True)


{"identity": identity, "resources": resources}[sys.argv[1]](sys.argv[2])
