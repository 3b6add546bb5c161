#!/usr/bin/env python3
"""The local door (`database proxy`) against direct TLS connections to a real Postgres; prints its part of docs/performance.md.

    benches/lakebase.py PROGRAM EXAMPLES [SECONDS]

PROGRAM is the program to measure, EXAMPLES the folder of the embedded workspace and of the relay that only copies, SECONDS how long each run of pgbench lasts. All ways run in turns,
so that what else the machine does meets them all.
"""

import os
import pathlib
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
CLIENTS = 500


def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def call(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, text=True, capture_output=True, **options).stdout


def wait(process, is_ready, what):
    end = time.monotonic() + 30
    while not is_ready():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"{what} did not start")
        time.sleep(0.02)


class Server:
    """A Postgres with TLS by an authority of its own, which takes the workspace's passwords and no others."""

    def __init__(self, folder, ldap):
        self.port = port()
        self.folder = folder
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        own = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if own:
            shutil.chown(folder, "postgres", "postgres")
        folder.chmod(0o755)
        call(*own, programs / "initdb", "-N", "-U", "postgres", "-A", "trust", "-D", folder / "data", cwd=folder)
        setup = 'CREATE ROLE "ann@example.com" LOGIN SUPERUSER;\nCREATE DATABASE databricks_postgres;\n'
        call(*own, programs / "postgres", "--single", "-D", folder / "data", "postgres", cwd=folder, input=setup)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        call("openssl", "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority of the bench", "-days", "2", cwd=folder)
        call("openssl", "req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost", cwd=folder)
        (folder / "ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        call("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "ext", cwd=folder)
        (folder / "data/pg_hba.conf").write_text(f'hostssl all all all ldap ldapserver=127.0.0.1 ldapport={ldap} ldapprefix="" ldapsuffix=""\n')
        (folder / "server.key").chmod(0o600)
        if own:
            for name in ("server.key", "server.pem", "data/pg_hba.conf"):
                shutil.chown(folder / name, "postgres", "postgres")
        settings = {"listen_addresses": "127.0.0.1", "ssl": "on", "ssl_cert_file": folder / "server.pem", "ssl_key_file": folder / "server.key", "max_connections": CLIENTS + 50}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen([*map(str, [*own, programs / "postgres", "-D", folder / "data", "-p", self.port, "-k", folder, *options])], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)

        def is_ready():
            with socket.socket() as tried:
                return tried.connect_ex(("127.0.0.1", self.port)) == 0

        wait(self.process, is_ready, "Postgres")

    def end(self):
        # SIGINT throws everybody out.
        self.process.send_signal(2)
        self.process.wait()


class Door:
    """On a port, or with a socket in a folder."""

    def __init__(self, program, folder, server, socket=None):
        self.port = port()
        file = folder / "door.pgpass"
        where = ["--socket", socket] if socket else ["--listen", f"127.0.0.1:{self.port}", "--password-file", file]
        env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "SSL_CERT_FILE": str(server.folder / "ca.pem"), "DATABRICKS_AUTH_STORAGE": "plaintext"}
        words = [program, "database", "proxy", "my-instance", "--port", server.port, *where]
        self.process = subprocess.Popen([str(word) for word in words], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if socket:
            wait(self.process, (socket / ".s.PGSQL.5432").exists, "the door")
            return
        wait(self.process, lambda: file.exists() and f":{self.port}:" in file.read_text(), "the door")
        self.password = next(line for line in file.read_text().splitlines() if f":{self.port}:" in line).rsplit(":", 1)[1]

    def memory(self):
        """Resident memory in KiB."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def connect(self):
        """A connection that is logged in."""
        client = socket.create_connection(("127.0.0.1", self.port))
        body = struct.pack(">I", 3 << 16) + b"user\0me\0database\0databricks_postgres\0\0"
        client.sendall(struct.pack(">I", len(body) + 4) + body)
        said = client.makefile("rb")
        message = self.password.encode() + b"\0"
        client.sendall(b"p" + struct.pack(">I", len(message) + 4) + message)
        self.until_ready(said)
        return client, said

    def until_ready(self, said):
        kind = b""
        while kind != b"Z":
            kind, length = struct.unpack(">cI", said.read(5))
            body = said.read(length - 4)
            if kind == b"E":
                sys.exit(f"refused: {body}")

    def query(self, connection, sql):
        client, said = connection
        message = sql.encode() + b"\0"
        client.sendall(b"Q" + struct.pack(">I", len(message) + 4) + message)
        self.until_ready(said)

    def end(self):
        self.process.kill()
        self.process.wait()


def measure(program, examples, seconds, folder):
    home = folder / "home"
    home.mkdir()
    embedded = subprocess.Popen([examples / "workspace", "--lakebase", "3600", "--env-file", folder / "env"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait(embedded, lambda: (folder / "env").exists() and (folder / "env").stat().st_size, "the embedded workspace")
    settings = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
    (folder / "cluster").mkdir()
    server = Server(folder / "cluster", settings["WORKSPACE_LDAP_PORT"])
    config = home / ".databrickscfg"
    config.touch(mode=0o600)
    config.write_text(f"[DEFAULT]\nhost = {settings['WORKSPACE_URL']}\ntoken = {settings['WORKSPACE_TOKEN']}\n")
    door, beside = Door(program, home, server), Door(program, home, server, home / "socket")
    through = port()
    relay = subprocess.Popen([examples / "relay", str(through), str(server.port)], stdin=subprocess.DEVNULL)
    try:
        return figures(program, server, door, through, home, seconds)
    finally:
        door.end()
        beside.end()
        relay.kill()
        relay.wait()
        server.end()
        embedded.terminate()
        embedded.wait()


class Rows(list):
    def append(self, row):
        print(*row, sep="  ", file=sys.stderr)
        super().append(row)


def figures(program, server, door, relay, home, seconds):
    ca = server.folder / "ca.pem"
    base = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SSL_CERT_FILE": str(ca), "DATABRICKS_AUTH_STORAGE": "plaintext"}
    time.sleep(0.5)
    idle = door.memory()
    password = re.search(r'"token"\s*:\s*"([^"]+)"', call(program, "database", "generate-database-credential", "my-instance", env=base))[1]
    ways = {
        "direct": dict(base, PGPASSWORD=password, PGSSLMODE="verify-full", PGSSLROOTCERT=str(ca), PGHOST="localhost", PGPORT=str(server.port), PGUSER="ann@example.com"),
        "door": dict(base, PGPASSFILE=str(home / "door.pgpass"), PGHOST="127.0.0.1", PGPORT=str(door.port), PGUSER="me"),
    }
    ways["socket"] = dict(base, PGHOST=str(home / "socket"), PGUSER="me")
    ways["relay"] = dict(ways["direct"], PGPORT=str(relay))
    (home / "one.sql").write_text("select 1;\n")
    # The same question as that of select-only; the server takes the time of a network over it.
    (home / "away.sql").write_text("\\set aid random(1, 100000)\nselect abalance, pg_sleep(0.005) from pgbench_accounts where aid = :aid;\n")
    bench = lambda way, *words: call("pgbench", "-n", *words, "databricks_postgres", env=ways[way], cwd=home)
    bench("direct", "-i", "-q", "-s", "1")

    def in_turns(words, figure, of):
        """The median of each way, and of the ratios (or differences) of the rounds to the direct one."""
        seen = {way: [] for way in ways}
        for turn in range(ROUNDS):
            for way in ways if turn % 2 else reversed(ways):
                seen[way].append(figure(bench(way, *words, "-T", str(seconds))))
        against = {way: statistics.median(of(*pair) for pair in zip(seen["direct"], figures)) for way, figures in seen.items()}
        return {way: statistics.median(figures) for way, figures in seen.items()}, against

    number = lambda words: lambda text: float(re.search(re.escape(words) + r" ([0-9.]+)", text)[1])

    def latency(_):
        """The median of all transactions of the run, in milliseconds."""
        logs = list(home.glob("pgbench_log.*"))
        times = [int(line.split()[2]) for log in logs for line in log.read_text().splitlines()]
        for log in logs:
            log.unlink()
        return statistics.median(times) / 1000

    ratio = lambda direct, door: door / direct
    rows = Rows()

    def row(work, words, figure, of, digits, goal, is_reached):
        seen, against = in_turns(words, figure, of)
        shown = lambda way: f"{seen[way]:.{digits}f} (" + (f"{against[way]:+.3f}" if of is difference else f"{against[way]:.2f} ×") + ")"
        rows.append((work, f"{seen['direct']:.{digits}f}", shown("door"), shown("socket"), shown("relay"), goal, is_reached(against["door"])))

    ratio, difference = lambda direct, way: way / direct, lambda direct, way: way - direct
    row("select-only, 32 connections, transactions/s", ["-S", "-c", "32", "-j", "2"], number("tps ="), ratio, 0, "0.9 ×", lambda found: found >= 0.9)
    row("the same, each answer 5 ms on its way", ["-f", "away.sql", "-c", "32", "-j", "2"], number("tps ="), ratio, 0, "0.9 ×", lambda found: found >= 0.9)
    row("select-only, 1 connection, median latency, ms", ["-S", "-c", "1", "-l"], latency, difference, 3, "+0.1", lambda found: found < 0.1)
    row("new connections/s, 4 clients", ["-C", "-c", "4", "-j", "2", "-f", "one.sql"], number("tps ="), ratio, 0, "0.8 ×", lambda found: found >= 0.8)
    held = lambda work, number, goal: rows.append((work, "", f"{number:.1f}", "", "", str(goal), number < goal))
    held("memory idle, MiB", idle / 1024, 12)
    door.end()
    # A new one, whose memory nothing was done with.
    door = Door(program, home, server)
    try:
        time.sleep(0.5)
        idle = door.memory()
        connections = [door.connect() for _ in range(CLIENTS)]
        for connection in connections:
            door.query(connection, "select 1")
        held(f"memory a connection, {CLIENTS} of them, after a query, KiB", (door.memory() - idle) / CLIENTS, 64)
        for connection in connections:
            door.query(connection, "select repeat('x', 1000) from generate_series(1, 300)")
        held("the same, after a result of 300 kB on each, KiB", (door.memory() - idle) / CLIENTS, 64)
        for client, _ in connections:
            client.close()
    finally:
        door.end()
    return rows


def main():
    program, examples = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        rows = measure(program, examples, seconds, folder)
    finally:
        shutil.rmtree(folder)
    print("| Lakebase | direct TLS | through the door (against direct) | through its socket | through a relay that only copies | goal of the door | |")
    print("|---|---|---|---|---|---|---|")
    for *cells, reached in rows:
        print(f"| {' | '.join(cells)} | {'reached' if reached else '**missed**'} |")


if __name__ == "__main__":
    main()
