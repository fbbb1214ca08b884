"""Prints one line per check and a total; the exit status reports failures."""

import os
import sys
import traceback

# The sizes where the length of a frame changes its form, and the default maximum.
SIZES = [0, 1, 125, 126, 65_535, 65_536, 16 * 1024 * 1024]

_counts = {"ok": 0, "FAIL": 0}
_not_run = []


def text_of(size):
    """Text of exactly `size` bytes in UTF-8, most of its characters three bytes long."""
    return "\u20ac" * (size // 3) + "x" * (size % 3)


def check(name, body, *arguments):
    """Runs `body(*arguments)`, which raises or returns false when the check fails."""
    try:
        fault = "" if body(*arguments) is not False else "not as expected"
    except Exception as error:  # any exception is this check's failure
        fault = f"{type(error).__name__}: {error}"
        if not isinstance(error, (AssertionError, OSError)):
            traceback.print_exc()
    verdict = "FAIL" if fault else "ok"
    _counts[verdict] += 1
    print(f"{verdict:<5} {name}" + (f": {fault}" if fault else ""), flush=True)


def not_run(name, reason):
    """Reports a check that this machine does not allow, which is neither a pass nor a failure."""
    _not_run.append(name)
    print(f"----- {name}: NOT RUN HERE: {reason}", flush=True)
    if path := os.environ.get("NOT_RUN_HERE"):
        with open(path, "a") as notes:
            print(f"{name}: {reason}", file=notes)


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {str(got)[:200]!r}, wanted {str(wanted)[:200]!r}")


def finish(title):
    rest = f", {len(_not_run)} NOT RUN HERE" if _not_run else ""
    print(f"{title}:\n{_counts['ok']} passed, {_counts['FAIL']} failed{rest}", flush=True)
    sys.exit(1 if _counts["FAIL"] else 0)
