"""How loud voices are."""

from __future__ import annotations

TARGET_LUFS = -16.0
"""The usual loudness of speech on the web: -16 LUFS for mono, after AES TD1008."""
