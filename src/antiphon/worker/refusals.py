"""What goes wrong, as gRPC says it."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from antiphon.core.residency_events import Reason
from antiphon.errors import AntiphonError, EngineError
from antiphon.worker.manager import ModelRefusedError


class BadRequestError(AntiphonError):
    """A client broke the contract; its call ends with INVALID_ARGUMENT."""


class StoppedError(AntiphonError):
    """Somebody stopped the call by ``Control`` or ``EndSession``; it ends with CANCELLED."""


@dataclass(frozen=True, slots=True)
class Failure:
    """``retryable``: the same may succeed elsewhere, or here a moment later."""

    code: grpc.StatusCode
    message: str
    retryable: bool


_REASONS = {
    Reason.UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Reason.NO_ROOM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.FAILED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.LEAVING: grpc.StatusCode.ABORTED,
    Reason.ENDING: grpc.StatusCode.UNAVAILABLE,
}

UNLOADED = Failure(grpc.StatusCode.ABORTED, "the model was unloaded", True)


def failure_of(error: Exception) -> Failure:
    """How to tell a client of ``error``. What nobody raised on purpose is INTERNAL, without its details."""
    match error:
        case ModelRefusedError():
            return Failure(_REASONS[error.reason], str(error), error.reason is not Reason.UNKNOWN)
        case EngineError():
            code = grpc.StatusCode.UNAVAILABLE if error.retryable else grpc.StatusCode.INTERNAL
            return Failure(code, str(error), error.retryable)
        case MemoryError():
            return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "out of memory", True)
        case BadRequestError():
            return Failure(grpc.StatusCode.INVALID_ARGUMENT, str(error), False)
        case StoppedError():
            return Failure(grpc.StatusCode.CANCELLED, str(error), False)
        case _:
            return Failure(grpc.StatusCode.INTERNAL, "the engine failed", False)


def expected(error: Exception) -> bool:
    """Whether ``error`` needs no traceback in the log."""
    return isinstance(error, AntiphonError | MemoryError)
