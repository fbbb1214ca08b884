"""Runs the Autobahn cases against a WebSocket echo server and compares each verdict with expected.json.

usage: suite.py URL [CASES] [--write]
  CASES    comma-separated patterns of case ids, "-PATTERN" leaves out: "1.*,6.4.*", "*,-9.*"
  --write  takes the verdicts of this run as the expectation
Exit status: 0 as expected, 1 a verdict differs, 2 the run could not be done.
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
from urllib.parse import urlsplit

from kosoku import FailureError, run_fuzzingclient
from kosoku.cases import CASES

from tap import Tap, handshake_faults

EXPECTED = Path(__file__).with_name("expected.json")
VERDICTS = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED"]
SECTIONS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation",
    "6": "UTF-8", "7": "close", "9": "limits", "10": "miscellaneous",
}
AT_ONCE, GUARD, GUARD_HEAVY = 8, 30, 150  # connections; seconds until a case counts as hung


def section(case):
    return case.split(".")[0]


def selected(patterns):
    """The ids to run. Expanded here, since the suite's own patterns match too much ("12.*.1" takes 12.1.10)."""
    patterns = [p.strip() for p in patterns.split(",") if p.strip()]
    wanted = [p for p in patterns if not p.startswith("-")] or ["*"]
    unwanted = [p[1:] for p in patterns if p.startswith("-")]

    def matches(case, globs):
        return any(fnmatchcase(case, glob) for glob in globs)

    return [c for c in CASES if section(c) in SECTIONS and matches(c, wanted) and not matches(c, unwanted)]


async def own_handshake(url):
    """What the suite cannot tell, since its key is always the same and it never waits for the server's FIN."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request)
    response = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    faults = handshake_faults(request[:-4], response[:-4])
    writer.write(b"\x88\x82\0\0\0\0\x03\xe8")  # Close, 1000
    try:
        answer = await asyncio.wait_for(reader.read(), 3)
        if answer != b"\x88\x02\x03\xe8":
            faults.append(f"a Close with 1000 was answered with {answer.hex() or 'nothing'}")
    except TimeoutError:
        faults.append("TCP is still open 3 s after both have sent Close")
    writer.close()
    return faults


async def run_case(url, case):
    """(verdict, explanation) of one case"""
    guard = GUARD_HEAVY if section(case) == "9" else GUARD
    async with Tap(url.hostname, url.port) as tap:
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
        return "FAILED", "on the wire: " + "; ".join(tap.faults)
    both = result.behavior.value, result.behavior_close.value
    verdict = max((v if v in VERDICTS else "FAILED" for v in both), key=VERDICTS.index)
    return verdict, f"{both[0]}: {result.result} close {both[1]}: {result.result_close}"


async def run(url, cases):
    limit, outcomes = asyncio.Semaphore(AT_ONCE), {}
    heavy_limit = asyncio.Semaphore(2)

    async def one(case):
        async with heavy_limit if section(case) == "9" else limit:
            outcomes[case] = await run_case(url, case)

    for heavy in (False, True):  # the heavy ones after the others, so that they delay nobody
        await asyncio.gather(*[one(c) for c in cases if (section(c) == "9") == heavy])
    return outcomes


def print_table(cases, outcomes):
    line = "{:<4}{:<17}{:>6}" + "{:>15}" * len(VERDICTS)
    print(line.format("", "section", "cases", *VERDICTS))
    counts = {s: Counter(outcomes[c][0] for c in cases if section(c) == s) for s in SECTIONS}
    counts["all"] = sum(counts.values(), Counter())
    for name, count in counts.items():
        if count:
            print(line.format(name, SECTIONS.get(name, ""), count.total(), *[count[v] for v in VERDICTS]))


def compare(cases, outcomes, write):
    """Prints what differs from expected.json; how many"""
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
    arguments = [a for a in sys.argv[1:] if a != "--write"]
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    url = urlsplit(arguments[0])
    cases = selected(arguments[1] if len(arguments) == 2 else "")
    if not cases:
        print("no such case", file=sys.stderr)
        return 2
    started = time.monotonic()
    faults = asyncio.run(own_handshake(url))
    for fault in faults:
        print(f"  handshake: {fault}")
    outcomes = asyncio.run(run(url, cases))
    print_table(cases, outcomes)
    failed = compare(cases, outcomes, "--write" in sys.argv) + len(faults)
    print(f"conformance, {time.monotonic() - started:.1f} s:")
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
    os._exit(status)  # the suite's threads can abort an ordinary exit, and so hide the status
