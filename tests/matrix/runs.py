"""One exchange of our end with a peer, and its result."""

from dataclasses import dataclass, field

from peers import CLIENT, TARGET
from processes import Process

OURS = str(TARGET / "debug" / "matrix-ours")
ADAPTERS = ("mio", "smol")
MODES = ((), ("deflate",))

OK, ONE_WAY, NOT, UNREACHED, FAILED = "✔", "→", "–", "·", "✘"
RANK = {OK: 4, ONE_WAY: 3, NOT: 2, UNREACHED: 1, FAILED: 0}
NOT_RUN = "not run"
CELLS = {"ok": OK, "one way": ONE_WAY, "not": NOT, "failed": FAILED}


@dataclass
class Run:
    """The report of one of our ends on one exchange."""

    label: str
    steps: dict = field(default_factory=dict)  # name: (outcome, detail)
    headers: dict = field(default_factory=dict)  # of the request that opened the first connection

    def read(self, process):
        for line in process.lines():
            name, outcome, detail = line.split("\t")
            if name == "header":
                self.headers.setdefault(outcome, detail)
            else:
                self.steps[name] = (outcome, detail)

    def cell(self, step):
        return CELLS[self.steps[step][0]] if step in self.steps else UNREACHED

    def failed(self):
        """Returns the failed step, which is the last one."""
        return next((name for name, (outcome, _) in self.steps.items() if outcome == "failed"), None)

    def error(self):
        """Returns the error, if any."""
        if name := self.failed():
            return f"{self.label}: {name}: {self.steps[name][1]}"
        if self.steps.get("end", ("",))[0] != "ok":
            return f"{self.label}: it stopped after {next(reversed(self.steps), 'nothing')}"
        return None


def worst(cells):
    return min(cells, key=RANK.get)


def summary(errors):
    return OK if not errors else f"{FAILED} " + "; ".join(error.replace("|", "/") for error in errors)


def exchange(command, role):
    """The four runs of a peer in a role: each adapter, without and with compression."""
    kinds = [(adapter, mode) for mode in MODES for adapter in ADAPTERS]
    runs = [Run(", ".join([adapter, *(["compressed"] if mode else [])])) for adapter, mode in kinds]
    if role == CLIENT:
        with_servers(command, kinds, runs)
    else:
        with_clients(command, kinds, runs)
    return runs


def with_servers(command, kinds, runs):
    """Starts all our servers and one peer; after a failed run, restarts all."""
    at = 0
    while at < len(runs):
        ends = [Process(OURS, adapter, "server", *mode) for adapter, mode in kinds[at:]]
        try:
            with Process(*command, *[end.line().split("\t")[2] for end in ends]):
                at += read_runs(runs[at:], ends)
        finally:
            for end in ends:
                end.end()


def with_clients(command, kinds, runs):
    """Starts one peer, and our clients one by one; after a failed run, a new peer."""
    at = 0
    while at < len(runs):
        with Process(*command) as peer:
            url = peer.line() or ""
            ends = (Process(OURS, adapter, "client", url, *mode) for adapter, mode in kinds[at:])
            at += read_runs(runs[at:], ends)


def read_runs(runs, ends):
    """Reads runs up to the first failure; returns how many."""
    for count, (run, end) in enumerate(zip(runs, ends), 1):
        with end:
            run.read(end)
        if run.error():
            return count
    return len(runs)
