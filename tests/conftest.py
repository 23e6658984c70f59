from __future__ import annotations

from hypothesis import settings

import antiphon

assert antiphon.__version__, "imported before gRPC, which it keeps from minding forks"

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("antiphon", deadline=None)
settings.load_profile("antiphon")
