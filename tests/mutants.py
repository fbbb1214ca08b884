"""Runs cargo-mutants over a sample of the engine's mutants, in stages, and reports what the tests caught.

A mutant's entry is the change, its function, and the text of the line: it survives moves of code between lines and
files. A mutant is drawn by the hash of its entry and the seed: the draw does not depend on other mutants.
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

WANTED = 95.0
SOURCE = "ws-proto/src/"
# The number of mutants drawn in each area. About one in eight does not compile.
AREAS = {"connection": 52, "decode": 38, "http": 48, "deflate": 38, "handshake": 34}
# Areas whose name differs from their top folder.
FOLDERS = {
    "frame/decode/": "decode",
    "fields/extensions": "handshake",
    "fields/": "http",
    "handshake/answer": "http",
    "handshake/check": "http",
    "handshake/reject": "http",
    "http1/": "http",
}
# The engine, without code that its features exclude.
LISTED = ["--no-config", "--package", "ws-proto", "--exclude", "ws-proto/src/deflate/codec/off.rs"]
# Slow tests run only against survivors of the fast ones: whole files, and single tests of other files.
SLOW = ["deflate_memory", "duplex", "pair", "simulation"]
SLOW_UNITS = ["both_ends_agree_for_all_settings", "keys_of_different_seeds_are_unrelated"]
SLOW_OF_FILE = {
    "frames": ["every_first_two_bytes_to_a_server_in_every_state", "every_first_two_bytes_to_a_client_in_every_state"],
}
# Random tests are shorter than usual, and the same for each mutant. Failures are neither kept nor minimized.
TEST_ENV = {
    "SEEDS": "200",
    "PROPTEST_CASES": "64",
    "PROPTEST_RNG_SEED": "1",
    "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
    "RUST_BACKTRACE": "0",
}
# Without optimization a mutant compiles in a second, and the tests take a few.
CARGO_CONFIG = """\
[profile.dev]
debug = 0
[profile.dev.package.ws-proto]
opt-level = 0
"""
OUTCOMES = {"CaughtMutant": "caught", "MissedMutant": "missed", "Timeout": "timeout", "Unviable": "unviable"}


def copy(root, tree):
    """Copies the work tree, skips unchanged files, and removes leftovers of earlier runs."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = {name for name in subprocess.check_output(listed, cwd=root, text=True).split("\0") if name}
    names = {name for name in names if (root / name).is_file()}
    for path in tree.rglob("*") if tree.exists() else ():
        name = path.relative_to(tree)
        if name.parts[0] not in ("target", ".cargo") and path.is_file() and str(name) not in names:
            path.unlink()
    for name in names:
        source, target = root / name, tree / name
        if not target.is_file() or source.read_bytes() != target.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    config = tree / ".cargo" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(CARGO_CONFIG)


def mutants(tree):
    """All mutants of the engine by entry: (area, the name that cargo-mutants gives it)."""
    found, lines, names = {}, {}, set()
    for mutant in json.loads(subprocess.check_output(["cargo", "mutants", *LISTED, "--list", "--json"], cwd=tree)):
        # lib.rs declares one module twice, with a visibility that depends on a feature.
        if mutant["name"] in names:
            continue
        names.add(mutant["name"])
        path = mutant["file"]
        entry = mutant["name"].split(": ", 1)[1]
        # The replacement of a whole body has no line; the name of an arm or a field identifies it.
        if mutant["genre"] not in ("FnValue", "MatchArm", "StructField"):
            if path not in lines:
                lines[path] = (tree / path).read_text().splitlines()
            entry += " | " + lines[path][mutant["span"]["start"]["line"] - 1].strip()
        number, unique = 1, entry
        while unique in found:
            number += 1
            unique = f"{entry} #{number}"
        name = path[len(SOURCE) :]
        area = next((area for folder, area in FOLDERS.items() if name.startswith(folder)), name.split("/")[0])
        found[unique] = (area, mutant["name"])
    return found


def equivalent(path):
    """Returns the entries of mutants that no test can catch, each with its reason, which is indented."""
    entries = {}
    entry = None
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            entry = line.strip()
            if entry in entries:
                sys.exit(f"{path.name}: twice: {entry}")
            entries[entry] = ""
        elif entry is None:
            sys.exit(f"{path.name}: a reason without an entry: {line.strip()}")
        else:
            entries[entry] += line.strip()
    for entry, reason in entries.items():
        if not reason:
            sys.exit(f"{path.name}: no reason: {entry}")
    return entries


def draw(found, seed, scale):
    """Returns the sample by area."""

    def rank(entry):
        return hashlib.sha256(f"{seed}\0{entry}".encode()).digest()

    sample = {}
    for area, size in AREAS.items():
        entries = sorted((entry for entry in found if found[entry][0] == area), key=rank)
        sample[area] = entries[: round(size * scale)]
    return sample


class Stage:
    def __init__(self, name, targets, arguments, seconds):
        """Holds what `cargo test` builds and runs, and the time limit for one mutant."""
        self.name, self.targets, self.arguments, self.seconds = name, targets, arguments, seconds
        self.passes = False


def stages(tree):
    """Returns the stages; each runs the survivors of the previous one."""
    tests = tree / "ws-proto" / "tests"
    names = sorted([path.stem for path in tests.glob("*.rs")] + [path.parent.name for path in tests.glob("*/main.rs")])
    quick = [f"--test={name}" for name in names if name not in SLOW]
    slow = [f"--test={name}" for name in names if name in SLOW or name in SLOW_OF_FILE]
    return [
        Stage("unit tests", ["--lib"], skip(SLOW_UNITS), 45),
        Stage("quick tests", quick, skip(sum(SLOW_OF_FILE.values(), [])), 240),
        Stage("slow tests", ["--lib", *slow], [], 900),
    ]


def skip(tests):
    return ["--"] + [part for test in tests for part in ("--skip", test)]


class Runner:
    def __init__(self, tree, work, found):
        self.tree, self.work, self.found = tree, work, found
        self.env = dict(os.environ, **TEST_ENV)

    def check_baseline(self, stage):
        """Checks that the tests pass without a mutant; otherwise they would catch all."""
        if not stage.passes:
            command = ["cargo", "test", "--locked", "--quiet", "-p", "ws-proto", *stage.targets, *stage.arguments]
            done = subprocess.run(command, cwd=self.tree, env=self.env, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{stage.name} fail without any mutant:\n{done.stdout}\n{done.stderr}")
            stage.passes = True

    def run(self, stage, entries):
        """Runs one stage and returns the outcomes by entry."""
        self.check_baseline(stage)
        started = time.monotonic()
        names = {self.found[entry][1]: entry for entry in entries}
        # Its filters by name do not apply to mutants that omit a field (its issue 632); marking them as caught by an
        # earlier run does.
        past = self.work / "mutants.out"
        shutil.rmtree(past, ignore_errors=True)
        past.mkdir(parents=True)
        others = [name for _, name in self.found.values() if name not in names]
        (past / "caught.txt").write_text("".join(name + "\n" for name in others))
        command = ["cargo", "mutants", *LISTED, "--iterate", "--in-place", "--output", str(self.work)]
        command += ["--baseline", "skip", "--timeout", str(stage.seconds), "--build-timeout", "600"]
        # As cargo's arguments, not the tests', they also apply to the build.
        command += [f"--cargo-arg={argument}" for argument in ["--locked", *stage.targets]]
        command += ["--colors", "never", "--", *stage.arguments]
        print(f"-- {stage.name}: {len(entries)} mutants", flush=True)
        done = subprocess.run(command, cwd=self.tree, env=self.env)
        # 2 and 3 mean that mutants were missed and that some timed out.
        if done.returncode not in (0, 2, 3):
            sys.exit(f"cargo mutants ended with status {done.returncode}")
        results = {}
        for outcome in json.loads((past / "outcomes.json").read_text())["outcomes"]:
            if "Mutant" in outcome["scenario"]:
                results[names[outcome["scenario"]["Mutant"]["name"]]] = OUTCOMES[outcome["summary"]]
        lost = [entry for entry in entries if entry not in results]
        if lost:
            sys.exit("cargo mutants has not run:\n" + "\n".join(lost))
        print(f"-- {time.monotonic() - started:.0f} s", flush=True)
        return results


def report(areas, results):
    """Prints the table, and returns the share of catchable mutants that were caught, in per cent."""
    columns = ["viable", "caught", "timeout", "missed", "unviable", "equivalent"]
    print(f"{'':14}" + "".join(f"{column:>12}" for column in columns))
    total = collections.Counter()
    rows = [(area, collections.Counter(results[entry] for entry in entries)) for area, entries in areas.items()]
    for _, counts in rows:
        total.update(counts)
    for area, counts in rows + [("all", total)]:
        counts["viable"] = counts["caught"] + counts["timeout"] + counts["missed"]
        print(f"{area:14}" + "".join(f"{counts[column]:12}" for column in columns))
    caught = total["caught"] + total["timeout"]
    share = 100 * caught / max(total["viable"], 1)
    for outcome in "timeout", "missed":
        for area, entries in areas.items():
            for entry in entries:
                if results[entry] == outcome:
                    print(f"{outcome} in {area}: {entry}")
    print(f"{share:.1f} % of {total['viable']} viable mutants are caught (timeouts included)")
    return share


def main():
    parser = argparse.ArgumentParser(prog="mutants.sh")
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--area", choices=AREAS, action="append")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()

    tree = options.work / "tree"
    copy(options.root, tree)
    found = mutants(tree)
    equivalents = equivalent(options.root / "tests" / "mutants-equivalent.txt")
    stale = [entry for entry in equivalents if entry not in found]
    if stale:
        sys.exit("mutants-equivalent.txt: no such mutant:\n" + "\n".join(stale))

    if options.only is None:
        areas = draw(found, options.seed, options.scale)
        areas = {area: areas[area] for area in options.area or areas}
    else:
        areas = collections.defaultdict(list)
        for entry, (area, _) in found.items():
            if options.only in entry:
                areas[area].append(entry)
    if options.list:
        for area, entries in areas.items():
            for entry in entries:
                print(f"{area}: {entry}")
        return

    kept = options.work / f"seed-{options.seed}.json"
    results = json.loads(kept.read_text()) if options.again else {}
    for entries in areas.values():
        results.update((entry, "equivalent") for entry in entries if entry in equivalents)

    runner = Runner(tree, options.work, found)
    *early, last = stages(tree)

    def run(stage, entries):
        if entries:
            results.update(runner.run(stage, entries))
            if options.only is None:
                kept.write_text(json.dumps(results, indent=1))

    # Area by area: the first survivors appear early.
    again = {entry for entry, outcome in results.items() if outcome == "missed"}
    for area, entries in areas.items():
        left = [entry for entry in entries if entry not in results or entry in again]
        print(f"== {area}", flush=True)
        for stage in early:
            run(stage, left)
            left = [entry for entry in left if results[entry] == "missed"]
    print("== all areas", flush=True)
    run(last, [entry for entries in areas.values() for entry in entries if results[entry] == "missed"])
    if report(areas, results) < WANTED:
        sys.exit(f"under {WANTED:.0f} %")


main()
