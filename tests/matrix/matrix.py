"""The interop matrix: runs an exchange between our ends and each peer, and checks the result.

usage: matrix.py          tests everything, writes table.md, and fails if it is worse than before
       matrix.py --quick  tests what the other tests install anyway, and fails if it is worse than table.md
"""

import os
import sys
import tempfile

import proxies
from peers import ALL, CLIENT, HERE, NotRun
from runs import ADAPTERS, FAILED, NOT_RUN, RANK, exchange, summary, worst

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
    # All steps again, compressed. The last step has its own column: some peers fail only there.
    compressed = worst(
        FAILED if run.error() and run.failed() != LAST else run.cell("compression") for run in deflated
    )
    if any(run.failed() == LAST for run in deflated):
        cells[STEPS.index(LAST)] = FAILED
    faults = [fault for run in runs if (fault := run.error())]
    name = " ".join([peer.name, *sorted(versions)])
    return [name, *head, *cells, compressed, summary(faults)]


def line(cells):
    return f"| {' | '.join(cells)} |"


def render(rows, through_proxies):
    """Returns the contents of table.md."""
    out = ["<!-- Written by tests/matrix/run.sh, never by hand. README.md beside it explains the signs. -->", ""]
    for headings, body in ((HEADINGS, rows), (proxies.HEADINGS, through_proxies)):
        out += [line(headings), line(["---"] * len(headings)), *map(line, body), ""]
    return "\n".join(out)


def committed():
    """Returns the rows of table.md by name, without the version."""
    rows = [[cell.strip() for cell in text.split("|")[1:-1]] for text in TABLE.read_text().splitlines()]
    return {row_key(cells): cells for cells in rows if len(cells) > 2}


def row_key(cells):
    return cells[0].split(" ")[0], cells[1]


def worse(now, before):
    """Returns the cells in which a row is worse than table.md."""
    if now[-1].startswith(NOT_RUN):
        return [now[-1]]
    old = before.get(row_key(now))
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
    """Writes the table, and fails if it is worse than before."""
    before = committed() if TABLE.exists() else {}
    rows, through_proxies, faults = [], [], []
    jobs = [(rows, row, peer, role) for peer in ALL for role in peer.roles]
    jobs += [(through_proxies, proxies.row, kind, adapter) for kind in proxies.ALL for adapter in ADAPTERS]
    for table, test, *arguments in jobs:
        table.append(test(*arguments))
        print(line(table[-1]), flush=True)
        if before:
            faults += [f"{' as '.join(table[-1][:2])}: {fault}" for fault in worse(table[-1], before)]
    TABLE.write_text(render(rows, through_proxies))
    for fault in faults:
        print(f"worse than before: {fault}")
    return 1 if faults else 0


with tempfile.TemporaryDirectory(prefix="matrix-") as directory:
    os.environ["TMPDIR"] = directory  # browser profiles go there
    status = quick() if "--quick" in sys.argv[1:] else everything()
sys.exit(status)
