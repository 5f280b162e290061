#!/usr/bin/python3
"""Lets guests reach the lab: the services that user data names and the mirror,
at the same address for guests and for this machine.

The lab listens on 127.0.0.1 alone. A socket belongs to the namespace in which
it was made, so this one process listens in both and connects from this one.
In the guests' namespace every address of the router answers; on this machine
only labnet.ADDRESS, and only on lo.

    labforward.py <folder of the mirror>"""
import asyncio
import ctypes
import functools
import http.server
import os
import socket
import sys
import threading

import labnet

SERVICES = (5000, 8000, 8004, 9311)  # Keystone, heat-api-cfn, heat-api, Barbican
MIRROR = 8090
CLONE_NEWNET = 0x40000000


def enter(namespace):
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def listen(address, port, device=None):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if device:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    s.bind((address, port))
    s.listen(128)
    return s


def listen_twice(ports):
    """port -> sockets: this machine's, and the guests'."""
    made = {p: [listen(labnet.ADDRESS, p, "lo")] for p in ports}
    with open("/proc/self/ns/net") as home, open("/run/netns/" + labnet.NAMESPACE) as guests:
        enter(guests)
        try:
            for p in ports:
                made[p].append(listen("0.0.0.0", p))
        finally:
            enter(home)
    return made


async def pump(reader, writer):
    """One direction, until its end, which the other side is told."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()  # the other direction ends with it


async def forward(port, reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
    finally:
        far_writer.close()
        writer.close()


def serve_mirror(folder, listening):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(listening.getsockname(), handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    threading.Thread(target=server.serve_forever, daemon=True).start()


async def serve(made, folder):
    running = set()  # the loop itself does not keep tasks from the collector

    def begin(port, reader, writer):
        task = asyncio.create_task(forward(port, reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    for listening in made.pop(MIRROR):
        serve_mirror(folder, listening)
    servers = [await asyncio.start_server(functools.partial(begin, port), sock=listening)
               for port, both in made.items() for listening in both]
    await asyncio.gather(*(s.serve_forever() for s in servers))


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    asyncio.run(serve(listen_twice([*SERVICES, MIRROR]), sys.argv[1]))
