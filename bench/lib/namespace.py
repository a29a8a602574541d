"""A network of our own, where the machine's would distort the figures: with rules for NAT or containers the kernel
tracks connections over the loopback interface too, at a cost for every packet. Knows no servers."""

import ctypes
import fcntl
import os
import socket
import struct

TRACKED = "/proc/sys/net/netfilter/nf_conntrack_count"
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def tracks_loopback():
    """Whether the kernel has a connection over the loopback interface in its table."""
    if not os.path.exists(TRACKED):
        return False
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        with open(TRACKED) as f:
            return int(f.read()) > 0


def enter():
    """Moves this process, and what it starts from now on, to a network with nothing but the loopback interface."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        form = "16sh14x"
        flags = struct.unpack(form, fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack(form, b"lo", 0)))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack(form, b"lo", flags | IFF_UP))


def leave_tracking():
    """Says what it did, or that it could not."""
    if not tracks_loopback():
        return
    try:
        enter()
        print("connections over the loopback interface are tracked here: measuring in a network namespace", flush=True)
    except OSError as e:
        print(f"connections over the loopback interface are tracked here, which costs both servers time for every "
              f"packet, and there can be no network namespace of our own: {e}", flush=True)
