"""Reads lcov coverage, and checks the lines of the engine and of the host outside their unit tests."""

import collections
import pathlib
import re
import sys

WANTED = 95.0


def end_of_code(path):
    """Returns the line number where a file's tests begin."""
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line == "#[cfg(test)]" and re.match(r"mod \w+ \{", lines[number]):
            return number
    return len(lines) + 1


def read(lcov, root):
    """Returns how often each line of each file ran. A file has several names, since programs are built in several folders."""
    files = collections.defaultdict(dict)
    for line in lcov:
        key, _, value = line.strip().partition(":")
        if key == "SF":
            lines = files[root / value]
        elif key == "DA":
            number, count = map(int, value.split(",")[:2])
            lines[number] = max(count, lines.get(number, 0))
    return files


def report(name, source, files, show_missing):
    """Prints and returns the percentage of the lines below a folder that ran."""
    all_run = all_lines = 0
    for path, lines in sorted(files.items()):
        if not path.is_relative_to(source) or path.name.startswith("tests_"):
            continue
        end = end_of_code(path)
        counts = {number: count for number, count in lines.items() if number < end}
        run = sum(count > 0 for count in counts.values())
        all_run += run
        all_lines += len(counts)
        if counts:
            print(f"{path.relative_to(source)!s:28} {100 * run / len(counts):6.1f} %  {run} of {len(counts)}")
        if show_missing:
            text = path.read_text().splitlines()
            for number, count in sorted(counts.items()):
                if count == 0:
                    print(f"  {number:4}  {text[number - 1]}")
    share = 100 * all_run / max(all_lines, 1)
    print(f"{name:28} {share:6.1f} %  {all_run} of {all_lines} lines")
    return share


def main():
    root = pathlib.Path(sys.argv[1])
    show_missing = "--missing" in sys.argv
    files = read(sys.stdin, root)
    crates = {"the engine": "ws-proto", "the host": "ws-host"}
    shares = {name: report(name, root / crate / "src", files, show_missing) for name, crate in crates.items()}
    if low := [name for name, share in shares.items() if share < WANTED]:
        sys.exit(f"under {WANTED} %: {', '.join(low)}")


main()
