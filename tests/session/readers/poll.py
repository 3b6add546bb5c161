"""Reads the managed file all the time, as programs with configparser do: poll.py SECONDS.

Every read has to be a whole file with a token that lives; every fifth token is used. One line of JSON at the end.
"""

import base64
import configparser
import json
import os
import sys
import time
import urllib.error
import urllib.request

FIELDS = {"host", "token", "auth_type"}


def ends(token):
    """When a token ends by its own word (JWT), in seconds since 1970."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]


end = time.time() + float(sys.argv[1])
seen = {"reads": 0, "torn": 0, "dead": 0, "calls": 0, "refused": 0, "least": 1e9}
tokens = set()
while time.time() < end:
    config = configparser.ConfigParser()
    now = time.time()
    with open(os.environ["DATABRICKS_CONFIG_FILE"]) as file:
        text = file.read()
    try:
        config.read_string(text)
        profile = config["workbench"]
        whole = FIELDS <= set(profile) and profile["host"] == os.environ["DATABRICKS_HOST"] and profile["token"].count(".") == 2
    except (configparser.Error, KeyError):
        whole = False
    seen["reads"] += 1
    if not whole:
        seen["torn"] += 1
        continue
    token = profile["token"]
    left = ends(token) - now
    seen["least"] = min(seen["least"], left)
    seen["dead"] += left <= 0
    tokens.add(token)
    if seen["reads"] % 5 == 0:
        request = urllib.request.Request(os.environ["DATABRICKS_HOST"] + "/api/2.0/preview/scim/v2/Me", headers={"Authorization": "Bearer " + token})
        try:
            urllib.request.urlopen(request).read()
        except urllib.error.HTTPError:
            seen["refused"] += 1
        seen["calls"] += 1
    time.sleep(0.02)
print(json.dumps(dict(seen, tokens=len(tokens))))
