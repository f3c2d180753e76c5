"""Three Ray nodes on loopback, until standard input ends: ``python -m tests.ray_nodes FOLDER``.

It prints one line of JSON: the ``address``, and the process of each node that is not the head (``nodes``).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

# Read by Ray when it is imported: nothing is reported, and every node listens on 127.0.0.1 alone (what it is named after is
# that Ray does so on systems whose firewall would ask).
LOOPBACK = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
NODES, CPUS = 3, 1


def main(folder: str) -> None:
    """Start them, say where, and end them."""
    os.environ.update(LOOPBACK)
    os.environ["RAY_TMPDIR"] = folder  # where it writes the address too, and for that makes no folder
    (Path(folder) / "ray").mkdir(exist_ok=True)
    from ray.cluster_utils import Cluster

    common: dict[str, Any] = {"num_cpus": CPUS, "object_store_memory": 150 << 20, "temp_dir": folder}
    cluster = Cluster(initialize_head=True, head_node_args={**common, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(**common) for _ in range(NODES - 1)]
        pids = [node.all_processes["raylet"][0].process.pid for node in nodes]
        print(json.dumps({"address": cluster.address, "nodes": pids}), flush=True)  # noqa: T201
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
