"""How long the Python SDK takes to authenticate through a program: median milliseconds of new clients in one process.

usage: sdk.py PROGRAM PROFILE COUNT
"""

import logging
import statistics
import sys
import time

from databricks.sdk.core import Config

logging.disable(logging.CRITICAL)
program, profile, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
times = []
for _ in range(count):
    started = time.perf_counter()
    headers = Config(profile=profile, databricks_cli_path=program).authenticate()
    times.append((time.perf_counter() - started) * 1000)
    assert headers["Authorization"].startswith("Bearer "), headers
print(f"{statistics.median(times):.3f}")
