"""The conversations that are kept: ``/v1/antiphon/conversations/{id}`` tells of one, and deletes it.

Nobody is told which there are: the id is the key to what was said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

import structlog
from aiohttp import web

from antiphon.session.keeping import ConversationStore, StoreError
from antiphon.transport.responses import error_response, json_response, no_conversation

PATH = "/v1/antiphon/conversations"
_ONE = PATH + "/{conversation_id}"

_log = structlog.get_logger(__name__)


class ConversationRoutes:
    def __init__(self, store: ConversationStore | None) -> None:
        """Without a store nothing is kept, and who asks is told so."""
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        return [web.get(_ONE, self.about), web.delete(_ONE, self.delete)]

    async def about(self, request: web.Request) -> web.Response:
        conversation = request.match_info["conversation_id"]

        async def answer(store: ConversationStore) -> web.Response:
            about = await store.about(conversation)
            return no_conversation() if about is None else json_response({"object": "conversation", **asdict(about)})

        return await self._with_store(answer)

    async def delete(self, request: web.Request) -> web.Response:
        """Also one that is in progress: it goes on, and nothing more of it is kept."""
        conversation = request.match_info["conversation_id"]

        async def answer(store: ConversationStore) -> web.Response:
            if not await store.delete(conversation):
                return no_conversation()
            _log.info("a conversation was deleted", conversation=conversation)
            return json_response({"id": conversation, "object": "conversation.deleted", "deleted": True})

        return await self._with_store(answer)

    async def _with_store(self, work: Callable[[ConversationStore], Awaitable[web.Response]]) -> web.Response:
        if self._store is None:
            reason = "This server keeps no conversations: start it with --sessions FILE"
            return error_response(404, reason, "conversations_not_kept")
        try:
            return await work(self._store)
        except StoreError as error:
            return error_response(503, f"The conversations cannot be read now: {error}", "conversations_unreadable")
