"""Holds back what this network namespace sends: netem for kernels that have none.

    delays.py DELAY_MS JITTER_MS

iptables sends the packets to queue 0 (target NFQUEUE); they stay in the kernel, only their numbers come here, and each
number is let go when its time has come. With jitter packets overtake each other."""

import heapq
import random
import select
import socket
import struct
import sys
import time

NETLINK_NETFILTER, SUBSYSTEM = 12, 3
PACKET, VERDICT, CONFIG = 0, 1, 2
REQUEST, ACK = 1, 4
ACCEPT = 1
QUEUE = 0


def message(kind, attribute, payload, flags=REQUEST):
    attribute = struct.pack("=HH", 4 + len(payload), attribute) + payload
    attribute += bytes(-len(attribute) % 4)
    body = struct.pack("=BBH", 0, 0, socket.htons(QUEUE)) + attribute
    return struct.pack("=IHHII", 16 + len(body), SUBSYSTEM << 8 | kind, flags, 0, 0) + body


def open_queue():
    queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    queue.bind((0, 0))
    queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    bind, number_only, length = struct.pack(">BBH", 1, 0, 0), struct.pack(">IB", 0, 1), struct.pack(">I", 100_000)
    for attribute, payload in ((1, bind), (2, number_only), (3, length)):
        queue.send(message(CONFIG, attribute, payload, REQUEST | ACK))
        error = struct.unpack_from("=i", queue.recv(4096), 16)[0]
        if error:
            raise OSError(-error, "the kernel gives no packet queue")
    return queue


def packets(data):
    """The numbers of the packets that these messages announce."""
    at = 0
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        inner, end = at + 20, at + size
        while kind == SUBSYSTEM << 8 | PACKET and inner + 4 <= end:
            length, attribute = struct.unpack_from("=HH", data, inner)
            if attribute == 1:
                yield struct.unpack_from(">I", data, inner + 4)[0]
            inner += max(4, length + 3 & ~3)
        at += max(16, size + 3 & ~3)


def main():
    delay, jitter = (float(argument) / 1000 for argument in sys.argv[1:3])
    queue, waiting = open_queue(), []
    print("ready", flush=True)
    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([queue], [], [], patience)[0]:
            try:
                data = queue.recv(1 << 20)
            except OSError:  # the kernel had more than the socket takes: those packets are lost
                continue
            now = time.monotonic()
            for number in packets(data):
                heapq.heappush(waiting, (now + max(0.0, delay + random.uniform(-jitter, jitter)), number))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            queue.send(message(VERDICT, 2, struct.pack(">II", ACCEPT, heapq.heappop(waiting)[1])))


if __name__ == "__main__":
    main()
