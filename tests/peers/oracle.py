"""The Python SDK as an oracle: JSON lines in, JSON lines out.

{"op": "read", "text": …}       the profile file as databricks.sdk.config and as any other program reads it with configparser
{"op": "resolve", "env": {…}}   the settings as databricks.sdk.config.Config resolves them
"""

import configparser
import io
import json
import logging
import os
import sys

logging.disable(logging.CRITICAL)


def read(text):
    parser = configparser.ConfigParser()
    try:
        # As ConfigParser.read opens it: text mode, universal line ends.
        parser.read_file(io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
    except (configparser.Error, UnicodeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    # As Config._known_file_config_loader: values as they stand, DEFAULT not merged into the others.
    sections = {name: dict(values) for name, values in parser._sections.items()}
    if parser.defaults():
        sections["DEFAULT"] = dict(parser.defaults())
    # As programs that use the public interface, which resolves %(…)s.
    resolved = {}
    for name in parser.sections():
        for key in sections[name]:
            try:
                resolved.setdefault(name, {})[key] = parser.get(name, key)
            except configparser.Error:
                resolved.setdefault(name, {})[key] = None
    return {"sections": sections, "resolved": resolved}


def resolve(asked):
    from databricks.sdk.config import Config

    os.environ.clear()
    os.environ.update(asked["env"])
    chosen = {"profile": asked["profile"]} if asked.get("profile") else {}
    try:
        config = Config(retry_timeout_seconds=1, **chosen)
        headers = config.authenticate()
        return {
            "host": config.host,
            "method": config.auth_type,
            "authorization": headers.get("Authorization", ""),
            "profile": config.profile or "",
            "headers": list(headers),
        }
    except Exception as error:  # whatever it raises is its answer
        return {"error": str(error), "kind": type(error).__name__}


ANSWERS = {"read": lambda asked: read(asked["text"]), "resolve": resolve}

for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(ANSWERS[asked["op"]](asked)), flush=True)
