"""How fast this machine's time stamp counter runs, for guests whose counter is this one.

A guest's kernel measures it at boot, against a timer that QEMU emulates. On a busy machine that
went wrong without a word: 967 MHz for 2596, and then all of the guest's time ran 2.7 times too
fast: limits were short, certificates of tomorrow."""
import ctypes
import mmap
import platform
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
READ = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"


def tsc_khz(seconds=0.2):
    """In kHz, or 0 where there is no such counter or no way to read it."""
    if platform.machine() != "x86_64":
        return 0
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return 0
    page.write(READ)
    counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    (ns0, ticks0), _, (ns1, ticks1) = _both(counter), time.sleep(seconds), _both(counter)
    return (ticks1 - ticks0) * 1000000 // (ns1 - ns0)


def _both(counter):
    """Time and counter at one moment: of some pairs the one that took least."""
    def pair():
        before = time.monotonic_ns()
        ticks = counter()
        after = time.monotonic_ns()
        return after - before, (before + after) // 2, ticks
    return min(pair() for _ in range(50))[1:]
