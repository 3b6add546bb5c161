"""The Python SDK as a long-running program: me.py PROFILE CALLS PAUSE_MS asks who it is, again and again, and says how that went.

One line of JSON: {"ok": …, "unauthorized": …, "errors": [texts of all failures], "users": [who it was]}.
"""

import json
import sys
import time

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import Unauthenticated

profile, calls, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) / 1000
result = {"ok": 0, "unauthorized": 0, "errors": [], "users": []}
try:
    client = WorkspaceClient(profile=profile)
except Exception as error:  # whatever it raises is its answer
    result["errors"].append(str(error))
    calls = 0
for call in range(calls):
    if call:
        time.sleep(pause)
    try:
        user = client.current_user.me().user_name
        result["ok"] += 1
        if user not in result["users"]:
            result["users"].append(user)
    except Exception as error:
        result["unauthorized"] += isinstance(error, Unauthenticated)
        result["errors"].append(str(error))
print(json.dumps(result))
