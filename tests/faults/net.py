"""Two machines with a bad network between them: two network namespaces, a device in each, and between the devices this
process, which loses, delays, doubles and swaps packets as a seed decides, or swallows them all.

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
class Weather:
    """The fate of a packet: chances in percent, times in seconds."""

    lost: float = 0
    doubled: float = 0
    least_delay: float = 0
    most_delay: float = 0


CALM = Weather()


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Unavailable(Exception):
    """This machine has no such network; the reason."""


class Net:
    """`inside(0)` and `inside(1)` run a program on the one and on the other machine."""

    def __init__(self, name, seed):
        if os.geteuid() != 0:
            raise Unavailable("only root may make network namespaces")
        if not shutil.which("ip"):
            raise Unavailable("there is no ip(8)")
        self.weather = CALM
        self.hole = False  # swallows everything
        self.lost = self.doubled = self.swapped = self.passed = 0
        self.random = random.Random(seed)
        self.names = [f"{name}-{os.getpid()}-{end}" for end in "ab"]
        self.devices = []
        self.relaying = None
        atexit.register(self.remove)  # however this ends
        for end, (namespace, address) in enumerate(zip(self.names, ADDRESSES)):
            self.devices.append(self.device(f"ws{os.getpid()}{name[:1]}{end}"[:15], namespace, address, ADDRESSES[1 - end]))
        self.over = False
        self.relaying = threading.Thread(target=self.relay, daemon=True)
        self.relaying.start()

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
        on_the_way, number, newest = [], 0, {}
        while not self.over:
            wait = max(0, on_the_way[0][0] - time.monotonic()) if on_the_way else 0.1
            readable, _, _ = select.select(self.devices, [], [], wait)
            now = time.monotonic()
            for device in readable:
                packet = os.read(device, 65536)
                weather = self.weather
                if self.hole or self.random.random() * 100 < weather.lost:
                    self.lost += 1
                    continue
                times = 1 + (self.random.random() * 100 < weather.doubled)
                self.doubled += times - 1
                for _ in range(times):
                    number += 1
                    due = now + self.random.uniform(weather.least_delay, weather.most_delay)
                    heapq.heappush(on_the_way, (due, number, self.devices[1 - self.devices.index(device)], packet))
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                _, number_of_it, device, packet = heapq.heappop(on_the_way)
                if self.hole:
                    continue
                self.swapped += number_of_it < newest.get(device, 0)
                newest[device] = max(newest.get(device, 0), number_of_it)
                self.passed += 1
                try:
                    os.write(device, packet)
                except OSError:
                    pass  # the queue is full: another lost packet

    def remove(self):
        """Works on a partial network; harmless when repeated."""
        self.over = True
        if self.relaying:
            self.relaying.join()
            self.relaying = None
            for device in self.devices:
                os.close(device)
        for namespace in self.names:
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)
