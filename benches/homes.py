"""Homes and a workspace for programs that are measured."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def call(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, text=True, capture_output=True, **options).stdout


def environment(folder, **more):
    return {"HOME": str(folder), "PATH": "/usr/bin:/bin", **more}


def examples():
    """The folder of the embedded workspace and of the other programs that measuring needs, built."""
    # Without the flags of the program that is released, or they would be built once with them and once without.
    own = {name: value for name, value in os.environ.items() if name not in ("RUSTFLAGS", "CFLAGS")}
    subprocess.run(["cargo", "build", "--quiet", "--profile", "quick", "--locked", "--example", "workspace", "--example", "raw", "--example", "relay"], check=True, cwd=ROOT, env=own)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "quick/examples"


@contextlib.contextmanager
def workspace(programs, tokens):
    """A folder, and the settings of an embedded workspace with many clusters and so many tokens (600 is the quota); both go at the end."""
    folder = pathlib.Path(tempfile.mkdtemp())
    words = [programs / "workspace", "--clusters", "20000", "--tokens", str(tokens), "--client-secret", "--env-file", folder / "env"]
    server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "env").exists():
            if server.poll() is not None:
                sys.exit("the embedded workspace did not start")
            time.sleep(0.01)
        yield folder, dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def home(folder, profiles, settings):
    """A home folder with so many profiles; the last one is the workspace."""
    folder.mkdir()
    file = folder / ".databrickscfg"
    with open(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
        for number in range(profiles - 1):
            out.write(f"[profile-{number}]\nhost  = https://workspace-{number}.cloud.databricks.com\ntoken = dapi{number:032x}\n\n")
        out.write(f"[DEFAULT]\nhost  = {settings['WORKSPACE_URL']}\ntoken = {settings['WORKSPACE_TOKEN']}\n")
        out.write(f"\n[tls]\nhost  = {settings['WORKSPACE_HTTPS_URL']}\ntoken = {settings['WORKSPACE_TOKEN']}\n")
    return folder


def signed_in(folder, entries, settings, program, programs):
    """A home folder whose profile `me` has signed in, among so many entries of the token store, and whose profile `sp` is a service principal."""
    home(folder, 10, settings)
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\nexec "{programs}/workspace" --approve "$1" >/dev/null\n')
    browser.chmod(0o700)
    call(program, "auth", "login", "--host", settings["WORKSPACE_URL"], "--profile", "me", env=environment(folder, DATABRICKS_AUTH_STORAGE="plaintext", BROWSER=str(browser)))
    with open(folder / ".databrickscfg", "a") as out:
        out.write(f"\n[sp]\nhost = {settings['WORKSPACE_URL']}\nclient_id = {settings['WORKSPACE_CLIENT_ID']}\nclient_secret = {settings['WORKSPACE_CLIENT_SECRET']}\n")
    file = folder / ".databricks" / "token-cache.json"
    store = json.loads(file.read_text())
    # As long as the service's own: some 900 characters.
    entry = lambda name: dict(store["tokens"]["me"], access_token=f"{name}-" + "a" * 900, refresh_token=f"{name}-" + "r" * 120)
    store["tokens"] = dict(sorted((store["tokens"] | {f"profile-{number}": entry(f"t{number}") for number in range(entries - 2)}).items()))
    file.write_text(json.dumps(store, indent=2))
    return folder
