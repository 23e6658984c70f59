"""Errors that a caller can act on. Each message says what to do."""

from __future__ import annotations


class AntiphonError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(AntiphonError):
    """A setting, an option or a file is not usable as given."""


class EngineError(AntiphonError):
    """An engine could not be loaded or failed at its work.

    ``retryable`` is true when the same request may succeed a moment later; ``retry_after_s``, where it is known, says
    when.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ProtocolError(AntiphonError):
    """A client sent something that the protocol does not allow; its session stays open.

    ``code`` and ``param`` are those of the wire's ``error`` event.
    """

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class IllegalEventError(AntiphonError):
    """An event reached the turn table in a state that has no row for it: a defect of the caller."""
