"""Who transcribes, thinks, speaks and stops, as lines of text with their times."""

from __future__ import annotations

from antiphon.apps.realtime_client import Arrival


class Trace:
    """Reads events; gives the lines that they make. Times count from the first event, in seconds."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._now = 0.0
        self._thought = ""
        self._thought_at = 0.0
        self._captioned: set[str] = set()
        """Turns of which words were told while they were spoken."""

    def read(self, arrival: Arrival) -> list[str]:
        self._began_at = arrival.at if self._began_at is None else self._began_at
        self._now = arrival.at - self._began_at
        if arrival.kind == "antiphon.thought":
            self._thought_at = self._thought_at if self._thought else self._now
            self._thought += arrival.text("text")
            return []
        made = self._line(arrival)
        return [*self.rest(), made] if made else []

    def rest(self) -> list[str]:
        """What was thought, up to now."""
        thought, self._thought = " ".join(self._thought.split()), ""
        return [self._format("llm", f"thinks   {thought}", self._thought_at)] if thought else []

    def _line(self, arrival: Arrival) -> str | None:
        item_id = arrival.text("item_id")
        match arrival.kind:
            case "conversation.item.input_audio_transcription.delta":
                self._captioned.add(item_id)
                return self._format("stt", f"hears    {arrival.text('delta').strip()}")
            case "conversation.item.input_audio_transcription.completed" if item_id not in self._captioned:
                return self._format("stt", f"hears    {arrival.text('transcript').strip()}")
            case "input_audio_buffer.speech_stopped":
                return self._format("vad", "silence")
            case "antiphon.clause":
                return self._format("tts", f"speaks   {arrival.text('text').strip()}")
            case "response.done":
                return self._end(arrival)
            case "error":
                return self._format("", str(arrival.child("error").get("message")))
            case _:
                return None

    def _end(self, arrival: Arrival) -> str:
        response = arrival.child("response")
        details = response.get("status_details") or {}
        match response.get("status"):
            case "cancelled":
                return self._format("tts", "stops")
            case "failed":
                return self._format("", f"failed   {(details.get('error') or {}).get('message')}")
            case _:
                return self._format("tts", "is done")

    def _format(self, who: str, what: str, at: float | None = None) -> str:
        return f"{self._now if at is None else at:7.2f}  {who:3}  {what}"
