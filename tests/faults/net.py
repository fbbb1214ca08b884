"""Two machines with a bad network between them: two network namespaces, a device in each, and between the devices this
process, which loses, delays, duplicates and reorders packets by a seed, or drops all.

It needs root and /dev/net/tun, but no traffic control of the kernel.
"""

import atexit
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from dataclasses import dataclass

ADDRESSES = ("10.77.0.1", "10.77.0.2")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


@dataclass
class Conditions:
    """What happens to a packet: chances in percent, times in seconds."""

    lost: float = 0
    duplicated: float = 0
    least_delay: float = 0
    most_delay: float = 0


PERFECT = Conditions()


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Unavailable(Exception):
    """Why this machine cannot provide the network."""


class Net:
    """`inside(0)` and `inside(1)` are the commands that run a program on either machine."""

    def __init__(self, name, seed):
        if os.geteuid() != 0:
            raise Unavailable("only root may create network namespaces")
        if not shutil.which("ip"):
            raise Unavailable("there is no ip(8)")
        self.conditions = PERFECT
        self.blackhole = False  # drops everything
        self.lost = self.duplicated = self.reordered = self.passed = 0
        self.random = random.Random(seed)
        self.names = [f"{name}-{os.getpid()}-{end}" for end in "ab"]
        self.devices = []
        self.relay_thread = None
        atexit.register(self.remove)  # however this ends
        for end, (namespace, address) in enumerate(zip(self.names, ADDRESSES)):
            self.devices.append(self.device(f"ws{os.getpid()}{name[:1]}{end}"[:15], namespace, address, ADDRESSES[1 - end]))
        self.stopped = False
        self.relay_thread = threading.Thread(target=self.relay, daemon=True)
        self.relay_thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def device(self, name, namespace, address, other):
        try:
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
        except OSError as error:
            raise Unavailable(f"/dev/net/tun: {error}") from error
        ip("netns", "add", namespace)
        ip("link", "set", name, "netns", namespace)
        ip("-n", namespace, "addr", "add", address, "peer", other, "dev", name)
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", namespace, "link", "set", name, "up")
        return device

    def inside(self, end):
        return ["ip", "netns", "exec", self.names[end]]

    def relay(self):
        in_flight, number, newest = [], 0, {}
        while not self.stopped:
            wait = max(0, in_flight[0][0] - time.monotonic()) if in_flight else 0.1
            readable, _, _ = select.select(self.devices, [], [], wait)
            now = time.monotonic()
            for device in readable:
                packet = os.read(device, 65536)
                conditions = self.conditions
                if self.blackhole or self.random.random() * 100 < conditions.lost:
                    self.lost += 1
                    continue
                times = 1 + (self.random.random() * 100 < conditions.duplicated)
                self.duplicated += times - 1
                for _ in range(times):
                    number += 1
                    due = now + self.random.uniform(conditions.least_delay, conditions.most_delay)
                    heapq.heappush(in_flight, (due, number, self.devices[1 - self.devices.index(device)], packet))
            while in_flight and in_flight[0][0] <= time.monotonic():
                _, packet_number, device, packet = heapq.heappop(in_flight)
                if self.blackhole:
                    continue
                self.reordered += packet_number < newest.get(device, 0)
                newest[device] = max(newest.get(device, 0), packet_number)
                self.passed += 1
                try:
                    os.write(device, packet)
                except OSError:
                    pass  # the queue is full: another lost packet

    def remove(self):
        """Removes the network, even if incomplete; idempotent."""
        self.stopped = True
        if self.relay_thread:
            self.relay_thread.join()
            self.relay_thread = None
            for device in self.devices:
                os.close(device)
        for namespace in self.names:
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)
