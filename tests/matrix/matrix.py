"""The interop matrix: leads our ends through an exchange with each peer, and checks the result.

usage: matrix.py          tries everything, writes table.md, and fails where that is worse than before
       matrix.py --quick  tries what the tests install anyway, and fails where that is worse than table.md says
"""

import os
import sys
import tempfile

import proxies
from peers import ALL, CLIENT, HERE, NotRun
from runs import ADAPTERS, FAILED, NOT_RUN, RANK, exchange, told, worst

TABLE = HERE / "table.md"
STEPS = [
    "text",
    "binary",
    "empty",
    "64 KiB",
    "1 MiB",
    "fragments",
    "ping",
    "1,500 empty",
    "1,500 in two frames",
    "blank canvas",
    "close by peer",
    "close by us",
    "subprotocol",
    "ping between fragments",
]
LAST = "ping between fragments"
HEADINGS = ["peer", "role", *STEPS, "compressed", "result"]
ROLES = {CLIENT: "client of our servers", "server": "server of our clients"}


def row(peer, role):
    head = [ROLES[role]]
    try:
        runs = exchange(peer.command(), role)
    except NotRun as reason:
        return [peer.name, *head, *[""] * (len(STEPS) + 1), f"{NOT_RUN}: {reason}"]
    versions = {run.steps["version"][1] for run in runs if "version" in run.steps}
    plain, deflated = runs[: len(ADAPTERS)], runs[len(ADAPTERS) :]
    cells = [worst(run.cell(step) for run in plain) for step in STEPS]
    # Everything again, and compressed; what comes last has its own column, where some fail in that alone.
    compressed = worst(
        FAILED if run.fault() and run.failed() != LAST else run.cell("compression") for run in deflated
    )
    if any(run.failed() == LAST for run in deflated):
        cells[STEPS.index(LAST)] = FAILED
    faults = [fault for run in runs if (fault := run.fault())]
    name = " ".join([peer.name, *sorted(versions)])
    return [name, *head, *cells, compressed, told(faults)]


def line(cells):
    return f"| {' | '.join(cells)} |"


def written(rows, behind):
    """All of table.md."""
    out = ["<!-- Written by tests/matrix/run.sh, never by hand. README.md beside it says what the signs mean. -->", ""]
    for headings, body in ((HEADINGS, rows), (proxies.HEADINGS, behind)):
        out += [line(headings), line(["---"] * len(headings)), *map(line, body), ""]
    return "\n".join(out)


def committed():
    """The rows of table.md, by the name without its version, and its comment."""
    rows = [[cell.strip() for cell in text.split("|")[1:-1]] for text in TABLE.read_text().splitlines()]
    return {key(cells): cells for cells in rows if len(cells) > 2}


def key(cells):
    return cells[0].split(" ")[0], cells[1]


def worse(now, before):
    """In what a row is worse than table.md."""
    if now[-1].startswith(NOT_RUN):
        return [now[-1]]
    old = before.get(key(now))
    if old is None:
        return ["it is not in table.md; run tests/matrix/run.sh"]
    headings = HEADINGS if len(now) == len(HEADINGS) else proxies.HEADINGS
    cells = list(zip(headings, now, old))[2:-1]
    return [f"{name}: {new or 'nothing'} for {was}" for name, new, was in cells if RANK.get(new, -1) < RANK.get(was, -1)]


def quick():
    before = committed()
    passed = failed = 0
    for peer in ALL:
        for role in peer.roles if peer.quick else ():
            now = row(peer, role)
            faults = worse(now, before)
            passed, failed = (passed, failed + 1) if faults else (passed + 1, failed)
            print(f"{'FAIL ' if faults else 'ok   '} {now[0]} as {now[1]}: {' '.join(now[2:-1])}", flush=True)
            if faults:
                print(f"      worse than table.md: {'; '.join(faults)}\n      {now[-1]}", flush=True)
    print(f"interop matrix:\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def everything():
    """Writes the table, whatever the outcome, and fails where it is worse than before."""
    before = committed() if TABLE.exists() else {}
    rows, behind, faults = [], [], []
    jobs = [(rows, row, peer, role) for peer in ALL for role in peer.roles]
    jobs += [(behind, proxies.row, kind, adapter) for kind in proxies.ALL for adapter in ADAPTERS]
    for table, tried, *what in jobs:
        table.append(tried(*what))
        print(line(table[-1]), flush=True)
        if before:
            faults += [f"{' as '.join(table[-1][:2])}: {fault}" for fault in worse(table[-1], before)]
    TABLE.write_text(written(rows, behind))
    for fault in faults:
        print(f"worse than before: {fault}")
    return 1 if faults else 0


with tempfile.TemporaryDirectory(prefix="matrix-") as directory:
    os.environ["TMPDIR"] = directory  # the profiles of browsers go there, and with it
    status = quick() if "--quick" in sys.argv[1:] else everything()
sys.exit(status)
