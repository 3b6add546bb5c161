#!/usr/bin/env python3
"""Builds the program for other machines: static, so that it runs in any container, and laid out for a quick start. Prints of which kind it is and where.

A function that is needed is read in with the 64 KiB around it. Those that a usual command runs lie all over the program, so it reads in most of it: a third of what a start takes. Here they lie
side by side: the program is built, valgrind tells which functions its commands run, and the linker puts those first that most of them run. It is lld, which comes with Rust.
"""

import collections
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

import homes
from homes import ROOT, call, environment

MUSL = f"{platform.machine()}-unknown-linux-musl"
# As programs and people call it; those that ask the workspace too.
COMMANDS = [
    "version",
    "version -o json",
    "help",
    "auth env",
    "auth env --format sh",
    "auth token -p me",
    "auth token -p sp",
    "auth token -o text",
    "auth describe --offline",
    "auth profiles --skip-validate",
    "__complete --profile=",
    "__complete tokens list",
    "tokens list",
    "tokens list -p tls",
    "tokens list -o json",
    "tokens create --comment bench --lifetime-seconds 600",
    "clusters list --limit 300",
    "current-user me",
    "api get /api/2.0/token/list",
]


def cargo(*words, rustc=(), **variables):
    environment = dict(os.environ, **variables)
    subprocess.run(["cargo", *map(str, words), *(["--", *map(str, rustc)] if rustc else [])], check=True, cwd=ROOT, env=environment, stdout=sys.stderr)


def target():
    """What the static program is built for, how, and with which variables: musl, or where that cannot be had, glibc."""
    try:
        call("rustup", "target", "add", MUSL)
        return "static musl", MUSL, {}
    except (subprocess.CalledProcessError, FileNotFoundError):
        flags = os.environ.get("RUSTFLAGS", "") + " -C target-feature=+crt-static"
        return "static gnu", MUSL.replace("musl", "gnu"), {"RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(ROOT / "target" / "static")}


def linker():
    """The words that make the linker one which takes an order; none if there is no such linker."""
    root = pathlib.Path(call("rustc", "--print", "sysroot").strip())
    host = re.search(r"host: (\S+)", call("rustc", "-vV"))[1]
    own = root / "lib/rustlib" / host / "bin/gcc-ld"
    if not (own / "ld.lld").exists():
        return []
    # Relocations are left as they are: packed (`--pack-dyn-relocs=relr`) they are a quarter of a megabyte less, and take longer at each start, one bit of a map after the other.
    return told("-B", own, "-fuse-ld=lld")


def told(*words):
    """Words for the linker."""
    return [f"-Clink-arg={word}" for word in words]


def functions(program, command, env):
    """The functions that a command runs, by the names that the linker knows."""
    with tempfile.NamedTemporaryFile() as out:
        ran = subprocess.run(["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={out.name}", program, *command.split()], env=env, capture_output=True, text=True)
        if ran.returncode:
            sys.exit(f"`{command}` failed under valgrind: {ran.stderr}")
        return set(re.findall(r"^c?fn=\(\d+\) ([^'\s]+)", pathlib.Path(out.name).read_text(), re.M))


def runs(program, commands):
    """All functions that the commands run, and how many of them do."""
    programs = homes.examples()
    with homes.workspace(programs, 500) as (folder, settings):
        env = environment(homes.signed_in(folder / "home", 10, settings, program, programs), DATABRICKS_AUTH_STORAGE="plaintext", SSL_CERT_FILE=settings["WORKSPACE_CA_FILE"])
        call(program, "auth", "token", "-p", "sp", env=env)
        return collections.Counter(name for command in commands for name in functions(program, command, env))


def order(program):
    """All functions that the commands run, the most common first."""
    found = runs(program, COMMANDS)
    return sorted(found, key=lambda name: (-found[name], name))


def build():
    """The kind of the program, and its path."""
    kind, triple, variables = target()
    words = ["rustc", "--release", "--locked", "--bin", "databricks", "--target", triple]
    program = pathlib.Path(variables.get("CARGO_TARGET_DIR", os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))) / triple / "release/databricks"
    link = linker()
    if not link:
        print("This Rust comes without lld: the program is not laid out for a quick start.", file=sys.stderr)
        cargo(*words, **variables)
        return kind, program
    with tempfile.TemporaryDirectory() as folder:
        cargo(*words, rustc=[*link, "-Cstrip=none"], **variables)
        named = pathlib.Path(folder) / "databricks"
        named.write_bytes(program.read_bytes())
        named.chmod(0o700)
        list_of_functions = pathlib.Path(folder) / "order"
        list_of_functions.write_text("\n".join(order(named)) + "\n")
        # A panic aborts and nothing unwinds; without symbols a backtrace tells nothing. The tables for both are half a megabyte.
        without_tables = pathlib.Path(folder) / "without_tables"
        without_tables.write_text("SECTIONS { /DISCARD/ : { *(.eh_frame) } }\nINSERT BEFORE .text;\n")
        link += told("-T", without_tables, "-Wl,--no-eh-frame-hdr")
        # Some are the C library's, or gone into others.
        cargo(*words, rustc=[*link, *told(f"-Wl,--symbol-ordering-file={list_of_functions},--no-warn-symbol-ordering")], **variables)
    call(program, "version")
    return kind, program


if __name__ == "__main__":
    print(*build(), sep=": ")
