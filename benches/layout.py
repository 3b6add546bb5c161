#!/usr/bin/env python3
"""Writes src/start.ld: which functions the linker puts side by side in the default build, so that a start reads in less of the program (see release.py, which does better where it may build twice).

Functions are named without what depends on compiler and versions, so the list outlives both. One that is gone is not missed, and a new one merely lies elsewhere: it need not be in step.
"""

import collections
import pathlib
import re
import sys
import tempfile

import homes
import release
from homes import ROOT, environment

# As release.COMMANDS, but for those that ask the workspace: they spend their time elsewhere.
COMMANDS = [command for command in release.COMMANDS if command.split()[0] in ("version", "help", "auth", "__complete")]
# Run by fewer commands, a function stays where it is; so does one of which there are many, if they are large together.
FEWEST = 3
FEW, SMALL = 6, 12_000


def pattern(name):
    """A name as the linker knows it, with a star for each hash."""
    return re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name) if name.startswith("_R") else re.sub(r"17h[0-9a-f]{16}E", "17h*E", name)


def build(folder):
    """The program with the names of its functions."""
    release.cargo("rustc", "--release", "--locked", "--bin", "databricks", rustc=["-Cstrip=none"], CARGO_TARGET_DIR=str(folder))
    return folder / "release/databricks"


def present(program):
    """How many functions each pattern means in the program, and how large they are together."""
    counts, sizes = collections.Counter(), collections.Counter()
    for line in homes.call("nm", "-S", program).splitlines():
        match line.split():
            case [_, size, "t" | "T", name]:
                counts[pattern(name)] += 1
                sizes[pattern(name)] += int(size, 16)
    return counts, sizes


def main():
    with tempfile.TemporaryDirectory() as folder:
        # A folder of its own: the program of the user's has no names.
        program = build(pathlib.Path(folder))
        runs = release.runs(program, COMMANDS)
        counts, sizes = present(program)
    common = {pattern(name): 0 for name in runs if re.match(r"_ZN|_R", name)}
    for name, times in runs.items():
        if pattern(name) in common:
            common[pattern(name)] = max(common[pattern(name)], times)
    names = [name for name, times in common.items() if times >= FEWEST and counts[name] and (counts[name] <= FEW or sizes[name] <= SMALL)]
    lines = [f"        *(.text*.{name})\n" for name in sorted(names, key=lambda name: (-common[name], name))]
    head = "/* Made by `make layout`: what usual commands run lies side by side, the most common first. See build.rs and benches/layout.py. */\n"
    (ROOT / "src/start.ld").write_text(head + "SECTIONS {\n    .text.start : {\n" + "".join(lines) + "    }\n}\nINSERT BEFORE .text;\n")
    print(f"src/start.ld: {len(names)} names, {sum(sizes[name] for name in names) // 1000} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
