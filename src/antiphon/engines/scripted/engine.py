"""What the scripted engines have in common."""

from __future__ import annotations


class ScriptedEngine:
    """There is nothing to load, and nothing to close."""

    stage: str

    @property
    def name(self) -> str:
        return "scripted:"

    @property
    def description(self) -> str:
        return f"a scripted {self.stage}: stated times and no model, for tests and measurements"

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass
