"""What some engines can do besides, a small Protocol for each, and the functions by which it is asked of any engine.

Callers use the functions, which have the answer for an engine that lacks the Protocol. Brains come first, then voices,
then the place where an engine's work is done.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from antiphon.core.speech import BrainRequest, Finish, Voice
from antiphon.engines.base import Brain, Engine, Synthesizer


@runtime_checkable
class Choosing(Protocol):
    """A brain that stands for several, and answers by the one that a request names."""

    @property
    def models(self) -> tuple[str, ...]:
        """Their names as clients know them; the first is the default."""
        ...

    def answering(self, model: str) -> str:
        """Which of them would answer now where ``model`` is wanted: another as long as that one is not ready."""
        ...

    async def prepare(self, model: str) -> None:
        """Returns when ``model`` can answer at once. Cancelling it is harmless. Raises EngineError."""
        ...

    def hears_as(self, model: str) -> bool:
        """``model`` takes ``Message.audio``, also while it is not ready; the default, where there is none such."""
        ...


def models_of(brain: Brain) -> tuple[str, ...]:
    """The language models that can be chosen from."""
    return brain.models if isinstance(brain, Choosing) else (brain.name,)


def answering(brain: Brain, model: str) -> str:
    """As ``Choosing.answering``, for any brain."""
    return brain.answering(model) if isinstance(brain, Choosing) else brain.name


async def prepare_brain(brain: Brain, model: str) -> None:
    """Has a language model made ready before it is needed."""
    if isinstance(brain, Choosing):
        await brain.prepare(model)


@runtime_checkable
class Hearing(Protocol):
    """A brain that may take the user's audio itself."""

    @property
    def hears(self) -> bool:
        """It takes ``Message.audio``. May change while it is not loaded."""
        ...


def hears_audio(brain: Brain, model: str = "") -> bool:
    """Whether the one that ``model`` names does, of a brain that stands for several."""
    return brain.hears_as(model) if isinstance(brain, Choosing) else isinstance(brain, Hearing) and brain.hears


def hears_now(brain: Brain, model: str) -> bool:
    """Whether the one that would answer now, where ``model`` is wanted, takes audio."""
    return hears_audio(brain, answering(brain, model))


@runtime_checkable
class Attentive(Protocol):
    """A brain that can read ahead: what it has read of a request, the next answer need not wait for."""

    async def read(self, request: BrainRequest) -> Finish:
        """Reads the messages and returns when that is done, with what it took. Cancelling it is harmless.

        It is meant for a last message that grows: it is read as one to which words will be added. Raises EngineError.
        """
        ...


async def read_ahead(brain: Brain, request: BrainRequest) -> Finish:
    """Has the brain read what it will be asked about; there is nothing to do for one that reads only to answer."""
    return await brain.read(request) if isinstance(brain, Attentive) else Finish()


@runtime_checkable
class Remembering(Protocol):
    """A brain that keeps what it has read, for each conversation."""

    def of_session(self, session: str) -> Brain:
        """The same for one conversation. It is loaded and closed with the brain that it comes from."""
        ...

    def forget(self, session: str) -> None:
        """The conversation is over: what was read of it may go. Unknown ones are no error."""
        ...


@runtime_checkable
class Leaving(Protocol):
    """A brain for one conversation that keeps something for it."""

    def leave(self) -> None:
        """The conversation is over."""
        ...


def brain_of_session(brain: Brain, session: str) -> Brain:
    """The brain for one conversation: itself, where it makes no difference which one it is, or none is named."""
    return brain.of_session(session) if session and isinstance(brain, Remembering) else brain


@runtime_checkable
class Preparing(Protocol):
    """A synthesizer whose voices may need to be loaded first."""

    async def prepare(self, voice: Voice) -> None:
        """Returns when ``voice`` can speak at once. Cancelling it is harmless. Raises EngineError."""
        ...


async def prepare_voice(synthesizer: Synthesizer, voice: Voice) -> None:
    """Has a voice made ready before it is needed; there is nothing to do for engines that are ready as they are."""
    if isinstance(synthesizer, Preparing):
        await synthesizer.prepare(voice)


@runtime_checkable
class Reloading(Protocol):
    """A synthesizer that may have voices that are described on disk."""

    async def reload(self) -> bool:
        """Reads these again, while others speak; what is spoken is spoken to its end as it began.

        Returns False where there is nothing of the kind. Raises EngineError with a line for each voice that could not
        be read, when all others were: such a voice stays as it was.
        """
        ...


async def reload_voices(synthesizer: Engine) -> bool:
    """As ``Reloading.reload``, for any engine."""
    return isinstance(synthesizer, Reloading) and await synthesizer.reload()


IN_PROCESS = "server"
"""The place of an engine that runs in the server's own process."""


@runtime_checkable
class Placed(Protocol):
    """An engine, for one conversation, whose work is done elsewhere."""

    @property
    def place(self) -> str | None:
        """The name of the worker that it asked last; None before the first time."""
        ...


def place_of(engine: Engine) -> str | None:
    """As ``Placed.place``, for any engine."""
    return engine.place if isinstance(engine, Placed) else IN_PROCESS
