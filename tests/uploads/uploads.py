"""Files up to the example at $HTTP_URL, which stores them in $FOLDER, and down again: whole, with flat memory."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish  # noqa: E402

URL = os.environ["HTTP_URL"]
FOLDER = Path(os.environ["FOLDER"])
PID = int(os.environ["SERVER_PID"])
MIB = 1 << 20
LARGE = int(sys.argv[1]) * MIB
GUARD = 30  # seconds until a connection counts as hung
MEMORY = 12 * MIB  # the most that a transfer may add; a buffered body would add its size


def resident():
    """The server's memory, in bytes."""
    for line in Path(f"/proc/{PID}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the server is gone")


class Peak:
    """The most memory that the server has within the block, beyond what it had before."""

    def __enter__(self):
        self.before = self.peak = resident()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.is_over.wait(0.02):
            self.peak = max(self.peak, resident())

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        added = max(self.peak, resident()) - self.before
        assert added <= MEMORY, f"{added} bytes more than before"


def data(size, seed=b"7"):
    """Reproducible data in blocks, none like another."""
    block = hashlib.shake_128(seed).digest(MIB)
    for n in range(0, size, MIB):
        part = n.to_bytes(8, "big") + block[8:]
        yield part[: min(MIB, size - n)]


def digest(parts):
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.hexdigest()


def of_file(path):
    with open(path, "rb") as file:
        return digest(iter(lambda: file.read(MIB), b""))


def curl(*arguments, stdin=None):
    """curl's output with the status behind it, fed from an iterator of bytes."""
    command = ["curl", "--silent", "--show-error", "--http1.1", "--max-time", "600", "--write-out", "%{http_code}"]
    process = subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        for part in stdin or []:
            process.stdin.write(part)
        process.stdin.close()
    except BrokenPipeError:
        pass
    output = process.stdout.read().decode()
    process.wait()
    return output


def connect():
    address = urlsplit(URL)
    return socket.create_connection((address.hostname, address.port), timeout=GUARD)


def head(name, fields):
    return f"PUT /files/{name} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


def read_to_end(stream):
    received = b""
    while part := stream.recv(65536):
        received += part
    return received


def names():
    return sorted(os.listdir(FOLDER))


def until(condition):
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline, "it never happens"
        time.sleep(0.01)


def a_large_file_goes_up_and_down():
    wanted = digest(data(LARGE))
    with Peak():
        # Of unknown length, so chunked.
        equal(curl("-T", "-", f"{URL}/files/large", stdin=data(LARGE))[-3:], "201")
        equal(of_file(FOLDER / "large"), wanted)
    with Peak():
        process = subprocess.Popen(["curl", "--silent", f"{URL}/files/large"], stdout=subprocess.PIPE)
        equal(digest(iter(lambda: process.stdout.read(MIB), b"")), wanted)
        process.wait()
    with Peak():
        equal(curl("-T", str(FOLDER / "large"), f"{URL}/files/again")[-3:], "201")
        equal(of_file(FOLDER / "again"), wanted)


def several_files_at_once():
    results = []

    def send(n):
        seed = str(n).encode()
        answer = curl("-T", "-", f"{URL}/files/several{n}", stdin=data(20 * MIB, seed))
        results.append(answer[-3:] == "201" and of_file(FOLDER / f"several{n}") == digest(data(20 * MIB, seed)))

    with Peak():
        threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    equal(results, [True] * 8)


def curl_waits_for_continue():
    answer = curl("-T", "-", "-H", "Expect: 100-continue", "--verbose", "--stderr", "-", f"{URL}/files/asked", stdin=[b"x"])
    assert "< HTTP/1.1 100 Continue" in answer and answer.endswith("201"), answer
    equal((FOLDER / "asked").read_bytes(), b"x")


def too_large_is_rejected_before_the_body():
    with connect() as stream:
        stream.sendall(head("huge", f"Expect: 100-continue\r\nContent-Length: {(1 << 40) + 1}\r\n"))
        answer = read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"Connection: close" in answer, answer


def a_wrong_method_is_rejected_before_the_body():
    answer = curl("-X", "POST", "-T", "-", "-H", "Expect: 100-continue", "--verbose", "--stderr", "-",
                  f"{URL}/files/posted", stdin=data(MIB))  # fmt: skip
    assert "100 Continue" not in answer and answer.endswith("405"), answer


def a_cut_upload_leaves_nothing(framing, body, by_reset):
    before = names()
    with connect() as stream:
        stream.sendall(head("cut", framing) + body)
        until(lambda: len(names()) == len(before) + 1)
        assert [name for name in names() if name not in before][0].startswith("."), "its name is temporary"
        if by_reset:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    until(lambda: names() == before)


def names_stay_in_the_folder():
    before = names()
    outside = sorted(os.listdir(FOLDER.parent))
    for name in ["..%2f..%2fevil", "..%5cevil", "%2e%2e%2fevil", ".evil", "evil%00"]:
        answer = curl("--path-as-is", "-T", "-", f"{URL}/files/{name}", stdin=[b"evil"])
        assert answer.endswith(("201", "404", "400")), answer
    equal(sorted(os.listdir(FOLDER.parent)), outside)
    added = [name for name in names() if name not in before]
    assert added and all(name.lstrip("_").startswith("evil") for name in added), added


def nothing_is_overwritten():
    for text in [b"one", b"two", b"three"]:
        equal(curl("-T", "-", f"{URL}/files/same.txt", stdin=[text])[-3:], "201")
    for name, text in [("same.txt", b"one"), ("same (1).txt", b"two"), ("same (2).txt", b"three")]:
        equal((FOLDER / name).read_bytes(), text)


def a_second_file_on_the_same_connection():
    with connect() as stream:
        for n in range(3):
            stream.sendall(head(f"pipelined{n}", "Content-Length: 5\r\n") + b"hello")
        stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = read_to_end(stream)
    equal((answer.count(b"HTTP/1.1 201 "), answer.count(b"HTTP/1.1 200 ")), (3, 1))


check(f"{LARGE // MIB} MiB up in chunks, down, and up with a length, with flat memory", a_large_file_goes_up_and_down)
check("eight files at once, with flat memory", several_files_at_once)
check("curl gets 100 Continue", curl_waits_for_continue)
check("a declared length over the limit is rejected before the body", too_large_is_rejected_before_the_body)
check("a wrong method is rejected before the body", a_wrong_method_is_rejected_before_the_body)
for framing, body in [("Content-Length: 1000000\r\n", b"half"), ("Transfer-Encoding: chunked\r\n", b"4\r\nhalf\r\n")]:
    for by_reset in [False, True]:
        how = f"{framing.split(':')[0]}, {'a reset' if by_reset else 'a FIN'}"
        check(f"a cut upload leaves nothing: {how}", a_cut_upload_leaves_nothing, framing, body, by_reset)
check("no name leads out of the folder", names_stay_in_the_folder)
check("no file is overwritten", nothing_is_overwritten)
check("several files on one connection", a_second_file_on_the_same_connection)
finish("uploads")
