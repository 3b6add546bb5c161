"""The Python SDK at work: python_sdk.py [profile] does a tour of a workspace and says what it saw, as JSON.

Host and credential come from where a user's program has them from: the profile, the default profile or the environment.
"""

import json
import sys

from databricks.sdk import WorkspaceClient

client = WorkspaceClient(profile=sys.argv[1]) if len(sys.argv) > 1 else WorkspaceClient()

made = client.tokens.create(comment="from the SDK", lifetime_seconds=600)
kept = client.tokens.create(comment="for the CLI", lifetime_seconds=600)
listed = [token.token_id for token in client.tokens.list()]
client.tokens.delete(token_id=made.token_info.token_id)
left = [token.token_id for token in client.tokens.list()]
database = client.database.generate_database_credential(instance_names=["db-instance-name"], request_id="from-the-sdk")

json.dump(
    {
        "host": client.config.host,
        "method": client.config.auth_type,
        "user": client.current_user.me().user_name,
        "clusters": [cluster.cluster_id for cluster in client.clusters.list()],
        "made": made.token_info.token_id,
        "listed": listed,
        "left": left,
        "kept": {"id": kept.token_info.token_id, "value": kept.token_value},
        "database": database.token,
    },
    sys.stdout,
)
