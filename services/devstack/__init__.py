"""The local stack: everything runs on one machine, and is kept running."""

import os

# Starting a process as another user forks. gRPC's fork handlers would crash the child if calls were in progress. No child
# here calls gRPC, so the handlers are disabled, which must happen before gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
