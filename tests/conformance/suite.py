"""Runs the Autobahn cases against a WebSocket echo server or client and compares each verdict with expected.json.

usage: suite.py URL [CASES] [OPTION]...                        tests the server at URL
       suite.py CLIENT [CASES] [OPTION]... [-- ARGUMENT...]    tests the program CLIENT, run as CLIENT URL ARGUMENT...
  CASES         comma-separated patterns of case ids, "-PATTERN" leaves out: "1.*,6.4.*", "-9.*"; sections 12 and 13,
                permessage-deflate, run only when named: "*" is everything
  --messages=N  how many messages a case of these two sends, rather than its 1,000
  --write       makes the verdicts of this run the expectation
Exit status: 0 as expected, 1 a verdict differs, 2 the run failed.
"""

import asyncio
import base64
import json
import os
import sys
import time
import traceback
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver
from kosoku._kosoku import PerMessageDeflateOffer
from kosoku.cases import CASES

from tap import Tap, handshake_faults

EXPECTED = Path(__file__).with_name("expected.json")
VERDICTS = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED"]
SECTIONS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation",
    "6": "UTF-8", "7": "close", "9": "limits", "10": "miscellaneous", "12": "deflate", "13": "deflate's terms",
}
HEAVY, DEFLATE = {"9", "12", "13"}, {"12", "13"}
AT_ONCE = 8  # connections
GUARD, GUARD_HEAVY, GUARD_RUN = 30, 150, 300  # seconds until a case, or a client's whole run, counts as hung
MESSAGES = 1000  # of a case of sections 12 and 13


def section(case):
    return case.split(".")[0]


def guard_of(case):
    """Seconds until a case counts as hung; those of sections 12 and 13 end earlier on their own."""
    return getattr(CASES[case], "WAITSECS", 0) + (GUARD_HEAVY if section(case) in HEAVY else GUARD)


def prepare(messages):
    """Sets how much the cases of sections 12 and 13 send, and fixes them: the suite passes them uncompressed messages
    as `str` although they expect bytes; and its server rejects a client that does not offer
    `client_no_context_takeover`, although a server may request that anyway (RFC 7692 §7.1.1.2)."""

    def fixed(case):
        received, accept = case.onMessage, case.SERVER_ACCEPT

        def on_message(self, message, binary):
            if isinstance(message, str):
                message = message.encode("latin-1" if binary else "utf-8")
            return received(self, message, binary)

        def server_accept(self, offers):
            willing = [
                PerMessageDeflateOffer(True, o.acceptMaxWindowBits, o.requestNoContextTakeover, o.requestMaxWindowBits)
                for o in offers
            ]
            return accept(self, willing)

        return on_message, server_accept

    for case in [CASES[c] for c in CASES if section(c) in DEFLATE]:
        case.COUNT = messages
        case.onMessage, case.SERVER_ACCEPT = fixed(case)


def selected(patterns):
    """Returns the ids to run. The suite's own patterns match too much ("12.*.1" matches 12.1.10)."""
    patterns = [p.strip() for p in patterns.split(",") if p.strip()]
    wanted = [p for p in patterns if not p.startswith("-")]
    unwanted = [p[1:] for p in patterns if p.startswith("-")]

    def matches(case, globs):
        return any(fnmatchcase(case, glob) for glob in globs)

    def is_wanted(case):
        return matches(case, wanted) if wanted else section(case) not in DEFLATE

    return [c for c in CASES if is_wanted(c) and not matches(c, unwanted)]


def verdict(result):
    """Returns (verdict, explanation) of the suite's result for a case."""
    both = result.behavior.value, result.behavior_close.value
    worst = max((v if v in VERDICTS else "FAILED" for v in both), key=VERDICTS.index)
    return worst, f"{both[0]}: {result.result} close {both[1]}: {result.result_close}"


async def connect(url):
    """Sends an upgrade; returns (faults of the answer, reader, writer)."""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request)
    response = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    return handshake_faults(request[:-4], response[:-4]), reader, writer


async def handshake_and_close(url):
    """Checks what the suite does not: a random key, and the server's FIN after both Closes."""
    faults, reader, writer = await connect(url)
    writer.write(b"\x88\x82\0\0\0\0\x03\xe8")  # Close, 1000
    try:
        answer = await asyncio.wait_for(reader.read(), 10)
        if answer != b"\x88\x02\x03\xe8":
            faults.append(f"a Close with 1000 was answered with {answer.hex() or 'nothing'}")
    except TimeoutError:
        faults.append("TCP is still open 10 s after both have sent Close")
    writer.close()
    return faults


async def run_case(url, case):
    """Returns (verdict, explanation) of one case of a server."""
    guard = guard_of(case)
    async with Tap(url.hostname, url.port, "server") as tap:
        try:
            results = await asyncio.wait_for(run_fuzzingclient(f"ws://127.0.0.1:{tap.port}{url.path or '/'}", [case]), guard)
        except FailureError as failure:
            results = failure.results
        except TimeoutError:
            return "FAILED", f"no end within {guard} s"
    result = next((r for r in results if r.case_id == case), None)
    if result is None:
        return "FAILED", "no result"
    if tap.faults:
        return "FAILED", "on the wire: " + "; ".join(faults for _, faults in tap.faults)
    return verdict(result)


async def run_server(url, cases):
    """Returns the outcome of each case, and other faults."""
    faults, outcomes = await handshake_and_close(url), {}
    limit, heavy_limit = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(2)

    async def one(case):
        async with heavy_limit if section(case) in HEAVY else limit:
            outcomes[case] = await run_case(url, case)

    for heavy in (False, True):  # heavy cases last: they would delay the others
        await asyncio.gather(*[one(c) for c in cases if (section(c) in HEAVY) == heavy])
    return outcomes, faults


async def run_client(program, arguments, cases):
    """Returns the outcome of each case, and other faults. The client chooses each next case itself."""
    async with (
        run_fuzzingserver(cases, host="127.0.0.1", port=0) as suite,
        Tap("127.0.0.1", suite.port, "client") as tap,
    ):
        pending_reports = asyncio.ensure_future(suite.get_result())
        client = await asyncio.create_subprocess_exec(program, f"ws://127.0.0.1:{tap.port}", *arguments)
        faults = await wait_exit(client, GUARD_RUN + sum(guard_of(c) for c in cases if section(c) in DEFLATE))
        if not (await asyncio.wait([pending_reports], timeout=GUARD))[0]:
            faults.append("the client did not request the reports")
            await connect(urlsplit(f"ws://127.0.0.1:{suite.port}/updateReports?agent=none"))
        try:
            results = await asyncio.wait_for(pending_reports, GUARD)
        except FailureError as failure:
            results = failure.results
    outcomes = dict.fromkeys(cases, ("FAILED", "no result"))
    outcomes |= {r.case_id: verdict(r) for r in results}
    numbers = {str(r.case_index): r.case_id for r in results}
    for target, found in tap.faults:
        number = parse_qs(urlsplit(target).query).get("case", [""])[0]
        if number in numbers:
            outcomes[numbers[number]] = "FAILED", f"on the wire: {found}"
        else:
            faults.append(f"on the wire of {target}: {found}")
    return outcomes, faults


async def wait_exit(client, guard):
    try:
        status = await asyncio.wait_for(client.wait(), guard)
        return [f"the client ended with status {status}"] if status else []
    except TimeoutError:
        client.kill()
        return [f"the client did not exit within {guard} s"]


def print_table(cases, outcomes):
    line = "{:<4}{:<17}{:>6}" + "{:>15}" * len(VERDICTS)
    print(line.format("", "section", "cases", *VERDICTS))
    counts = {s: Counter(outcomes[c][0] for c in cases if section(c) == s) for s in SECTIONS}
    counts["all"] = sum(counts.values(), Counter())
    for name, count in counts.items():
        if count:
            print(line.format(name, SECTIONS.get(name, ""), count.total(), *[count[v] for v in VERDICTS]))


def compare(cases, outcomes, write):
    """Prints the verdicts that differ from expected.json; returns how many."""
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    different = [c for c in cases if outcomes[c][0] != expected.get(c, "not listed")]
    for case in different:
        print(f"  {case}: expected {expected.get(case, 'not listed')}, got {outcomes[case][0]}: {outcomes[case][1]}")
    if write:
        expected |= {c: outcomes[c][0] for c in cases}
        ordered = {c: expected[c] for c in CASES if c in expected}
        EXPECTED.write_text(json.dumps(ordered, indent=0) + "\n")
        print(f"wrote {EXPECTED.name}")
        return 0
    return len(different)


def main():
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, client_arguments = sys.argv[1:end], sys.argv[end + 1 :]
    write = "--write" in arguments
    counts = [a.removeprefix("--messages=") for a in arguments if a.startswith("--messages=")]
    prepare(int(counts[-1]) if counts else MESSAGES)
    arguments = [a for a in arguments if not a.startswith("--")]
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    tested = arguments[0]
    cases = selected(arguments[1] if len(arguments) == 2 else "")
    if not cases:
        print("no such case", file=sys.stderr)
        return 2
    started = time.monotonic()
    is_server = tested.startswith("ws://")
    running = run_server(urlsplit(tested), cases) if is_server else run_client(tested, client_arguments, cases)
    outcomes, faults = asyncio.run(running)
    for fault in faults:
        print(f"  outside the cases: {fault}")
    print_table(cases, outcomes)
    failed = compare(cases, outcomes, write) + bool(faults)
    print(f"conformance of the {'server' if is_server else 'client'}, {time.monotonic() - started:.1f} s:")
    print(f"{len(cases) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        status = main()
    except BaseException:
        traceback.print_exc()
        status = 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # the suite's threads can abort a normal exit, and hide the status
