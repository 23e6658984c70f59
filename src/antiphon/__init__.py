"""Antiphon: full-duplex voice agents, as a server and as a library."""

import os

__version__ = "0.1.0"

# gRPC stops its threads while a process forks, and calls under way in other threads fail or never end. Our children run
# another program at once and use nothing of it. gRPC reads this when it is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
