"""The Synthesizer service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from antiphon.engines.base import Synthesizer
from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerServicer
from antiphon.worker.host import HostedService
from antiphon.worker.speech import SpeechStream


class SynthesizerService(HostedService[Synthesizer], SynthesizerServicer):
    async def Synthesize(self, request_iterator: AsyncIterator[pb.SynthesizeRequest], context: Any) -> None:  # noqa: N802
        await self.serve(SpeechStream(self._host), request_iterator, context)
