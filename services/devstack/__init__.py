"""The `reelgate` command: run everything on one machine, and administer it."""

import os

# A process is started as another user by way of fork, where gRPC's own preparations crash the child when calls are under
# way. Nothing here forks and then calls gRPC; they are left out if this is said before gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
