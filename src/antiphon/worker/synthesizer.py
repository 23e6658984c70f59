"""The Synthesizer service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from antiphon.engines.base import Synthesizer
from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerServicer
from antiphon.worker.host import HostedService, abort
from antiphon.worker.refusals import BadRequestError, failure_of
from antiphon.worker.speech import SpeechStream


class SynthesizerService(HostedService[Synthesizer], SynthesizerServicer):
    async def Synthesize(self, request_iterator: AsyncIterator[pb.SynthesizeRequest], context: Any) -> None:  # noqa: N802
        await self.take_place(context)
        stream = SpeechStream(self._host)
        with self._host.place(stream):
            try:
                await stream.run(request_iterator, context.write)
            except BadRequestError as error:
                await abort(context, failure_of(error))
