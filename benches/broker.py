#!/usr/bin/env python3
"""The rows of docs/performance.md about brokers and sessions: `rows(program, programs, folder, settings)` measures and gives lines of Markdown.

The broker runs on the first processor and its clients, one thread of `raw load`, on the second. By itself: broker.py PROGRAM FOLDER_OF_RAW_AND_WORKSPACE
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROUNDS = 5


def environment(folder, **more):
    return {"HOME": str(folder), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder), "DATABRICKS_AUTH_STORAGE": "plaintext", **more}


def profiles(settings, count):
    """So many profiles, each with a token of its own: the scopes tell them apart."""
    common = f"host = {settings['WORKSPACE_URL']}\nauth_type = oauth-m2m\nclient_id = {settings['WORKSPACE_CLIENT_ID']}\nclient_secret = {settings['WORKSPACE_CLIENT_SECRET']}\n"
    return "".join(f"[p{number}]\n{common}scopes = all-apis,sql.s{number}\n\n" for number in range(count))


def field(process, name):
    text = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1))


def wakeups(process):
    tasks = pathlib.Path(f"/proc/{process}/task").iterdir()
    return sum(int(count) for task in tasks for count in re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text()))


class Broker:
    """`auth serve` with so many profiles, on the first processor."""

    def __init__(self, program, folder, settings, count):
        self.count, self.host = count, settings["WORKSPACE_URL"]
        names = [f"p{number}" for number in range(count)]
        words = ["taskset", "-c", "0", program, "auth", "serve", *names, "-o", "json"]
        self.process = subprocess.Popen([str(word) for word in words], env=environment(folder), stdout=subprocess.PIPE, text=True)
        self.addresses = [json.loads(self.process.stdout.readline())["url"] for _ in names]

    def ask(self, address):
        request = urllib.request.Request(address, headers={"X-Databricks-Metadata-Version": "1", "X-Databricks-Host": self.host})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()

    def ask_all_at_once(self):
        threads = [threading.Thread(target=self.ask, args=(address,)) for address in self.addresses]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]

    def load(self, programs, *words):
        """The median round of so many, by its rate or, where that is given, by its 99th percentile."""
        env = {"BENCH_URL": self.addresses[0], "BENCH_HOST": self.host}
        line = ["taskset", "-c", "1", str(programs / "raw"), "load", *map(str, words)]
        rounds = [json.loads(subprocess.run(line, env=env, check=True, text=True, capture_output=True).stdout) for _ in range(ROUNDS)]
        return sorted(rounds, key=lambda one: one["p99"] if len(words) > 2 else one["rate"])[ROUNDS // 2]

    def end(self):
        self.process.terminate()
        self.process.wait()


def added(program, folder):
    """Milliseconds that a session adds to `true`, with a sign-in whose token is there, and the ratio to it."""
    env = environment(folder)
    subprocess.run([str(program), "session", "start", "p0", "--", "true"], env=env, check=True, capture_output=True)
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        lines = ["/usr/bin/true", f"{program} session start p0 -- /usr/bin/true", f"{program} session start p0 --live -- /usr/bin/true"]
        subprocess.run(["hyperfine", "-N", "--warmup", "5", "--runs", "60", "--export-json", out.name, *lines], env=env, check=True, capture_output=True)
        times = [result["median"] * 1000 for result in json.load(out)["results"]]
    return times[1] - times[0], times[2] - times[0]


def rows(program, programs, folder, settings):
    """Lines of Markdown."""
    folder = pathlib.Path(folder) / "brokers"
    folder.mkdir(mode=0o700)
    config = folder / ".databrickscfg"
    config.touch(mode=0o600)
    config.write_text(profiles(settings, 100))
    lines = ["", "| broker and sessions | measured | goal |", "|---|---|---|"]
    row = lambda work, measured, goal: lines.append(f"| {work} | {measured} | {goal} |")
    broker = Broker(program, folder, settings, 1)
    try:
        broker.ask_all_at_once()
        most = broker.load(programs, 100, 2)
        row("cached tokens a second, 100 clients that ask again at once", f"{most['rate']:,.0f}; half of the answers within {most['p50'] / 1000:.2f} ms, 99 % within {most['p99'] / 1000:.2f} ms", "20,000")
        paced = broker.load(programs, 100, 2, 20_000)
        row("the same at 20,000 requests a second", f"{paced['rate']:,.0f}; half within {paced['p50'] / 1000:.3f} ms, 99 % within {paced['p99'] / 1000:.3f} ms", "99 % within 1 ms")
        thousand = broker.load(programs, 1000, 2)
        row("1,000 clients that ask again at once", f"{thousand['rate']:,.0f} a second", "–")
        # The last clients have gone, and whoever was to be looked after has been.
        time.sleep(11)
        before = wakeups(broker.process.pid)
        time.sleep(5)
        row("times that an idle broker wakes up in 5 s", f"{wakeups(broker.process.pid) - before}", "0")
    finally:
        broker.end()
    broker = Broker(program, folder, settings, 100)
    try:
        broker.ask_all_at_once()
        row("peak memory with 100 profiles, all asked for the first time at once", f"{field(broker.process.pid, 'VmHWM') / 1024:.1f} MiB", "10 MiB")
    finally:
        broker.end()
    plain, live = added(program, folder)
    row("`session start -- true` adds to `true`, token cached", f"{plain:.1f} ms; with `--live` {live:.1f} ms", "20 ms")
    print("broker and sessions", file=sys.stderr)
    return lines


def main():
    program, programs = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    folder = pathlib.Path(tempfile.mkdtemp())
    server = subprocess.Popen([programs / "workspace", "--client-secret", "--env-file", folder / "env"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "env").exists() or not (folder / "env").stat().st_size:
            time.sleep(0.02)
        settings = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
        print("\n".join(rows(program, programs, folder, settings)))
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
