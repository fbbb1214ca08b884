"""The interop matrix: leads our ends through an exchange with each peer, and judges what came of it.

usage: matrix.py          tries everything, and writes table.md
       matrix.py --quick  tries what the tests have anyhow, and fails where that is worse than table.md says
"""

import os
import sys
import tempfile

import proxies
from peers import ALL, CLIENT, HERE, NotRun
from runs import ADAPTERS, FAILED, RANK, exchange, told, worst

TABLE = HERE / "table.md"
STEPS = [
    "text",
    "binary",
    "empty",
    "64 KiB",
    "1 MiB",
    "fragments",
    "ping",
    "ping between fragments",
    "close by peer",
    "close by us",
    "subprotocol",
]
HEADINGS = ["peer", "role", *STEPS, "compressed", "result"]
ROLES = {CLIENT: "client of our servers", "server": "server of our clients"}


def row(peer, role):
    head = [ROLES[role]]
    try:
        runs = exchange(peer.command(), role)
    except NotRun as reason:
        return [peer.name, *head, *[""] * (len(STEPS) + 1), f"not run: {reason}"]
    versions = {run.steps["version"][1] for run in runs if "version" in run.steps}
    plain, deflated = runs[: len(ADAPTERS)], runs[len(ADAPTERS) :]
    cells = [worst(run.cell(step) for run in plain) for step in STEPS]
    # Everything again, and compressed.
    compressed = worst(FAILED if run.fault() else run.cell("compression") for run in deflated)
    faults = [fault for run in runs if (fault := run.fault())]
    name = " ".join([peer.name, *sorted(versions)])
    return [name, *head, *cells, compressed, told(faults)]


def line(cells):
    return f"| {' | '.join(cells)} |"


def written(rows, behind):
    """The whole of table.md."""
    out = ["<!-- Written by tests/matrix/run.sh, never by hand. README.md beside it says what the signs mean. -->", ""]
    for headings, body in ((HEADINGS, rows), (proxies.HEADINGS, behind)):
        out += [line(headings), line(["---"] * len(headings)), *map(line, body), ""]
    return "\n".join(out)


def committed():
    """The rows of table.md, by the peer's name without its version, and the role."""
    rows = {}
    for text in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if len(cells) == len(HEADINGS):
            rows[cells[0].split(" ")[0], cells[1]] = cells
    return rows


def worse(now, before):
    """Which cells are worse than they were."""
    for heading, new, old in zip(HEADINGS, now, before):
        if heading in STEPS or heading == "compressed":
            if RANK.get(new, -1) < RANK.get(old, -1):
                yield f"{heading}: {new or 'nothing'} for {old}"


def quick():
    before = committed()
    passed = failed = 0
    for peer in ALL:
        for role in peer.roles if peer.quick else ():
            now = row(peer, role)
            old = before.get((peer.name, ROLES[role]))
            faults = list(worse(now, old)) if old else ["it has no row in table.md; run tests/matrix/run.sh"]
            passed, failed = (passed, failed + 1) if faults else (passed + 1, failed)
            print(f"{'FAIL ' if faults else 'ok   '} {now[0]} as {now[1]}: {' '.join(now[2:-1])}", flush=True)
            if faults:
                print(f"      worse than table.md: {'; '.join(faults)}\n      {now[-1]}", flush=True)
    print(f"interop matrix:\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def everything():
    rows = []
    for peer in ALL:
        for role in peer.roles:
            rows.append(row(peer, role))
            print(line(rows[-1]), flush=True)
    behind = []
    for kind in proxies.ALL:
        for adapter in ADAPTERS:
            behind.append(proxies.row(kind, adapter))
            print(line(behind[-1]), flush=True)
    TABLE.write_text(written(rows, behind))
    return 0


with tempfile.TemporaryDirectory(prefix="matrix-") as directory:
    os.environ["TMPDIR"] = directory  # the profiles of browsers go there, and with it
    status = quick() if "--quick" in sys.argv[1:] else everything()
sys.exit(status)
