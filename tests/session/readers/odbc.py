"""A recipe for pyodbc as hosted workbenches teach it, in a loop: odbc.py SECONDS. Where pyodbc.connect would be, the server is asked with the same words."""

import configparser
import json
import os
import sys
import time
import urllib.error
import urllib.request


def connect(text):
    """What the driver does with the connection string: authentication mechanism 11 is a token as the password of nobody."""
    words = dict(word.split("=", 1) for word in text.split(";"))
    assert words["AuthMech"] == "11" and words["Auth_Flow"] == "0", words
    request = urllib.request.Request(words["Host"] + "/api/2.0/preview/scim/v2/Me", headers={"Authorization": "Bearer " + words["Auth_AccessToken"]})
    return json.load(urllib.request.urlopen(request))


end = time.time() + float(sys.argv[1])
seen = {"calls": 0, "refused": 0}
while time.time() < end:
    config = configparser.ConfigParser()
    config.read(os.environ["DATABRICKS_CONFIG_FILE"])
    text = f"Driver=Databricks;Host={os.environ['DATABRICKS_HOST']};Port=443;HTTPPath=/sql/1.0/warehouses/abc;SSL=1;AuthMech=11;Auth_Flow=0;Auth_AccessToken={config['workbench']['token']}"
    try:
        assert connect(text)["userName"]
    except urllib.error.HTTPError:
        seen["refused"] += 1
    seen["calls"] += 1
    time.sleep(0.5)
print(json.dumps(seen))
