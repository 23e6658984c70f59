"""Voxtral in the library transformers: what was said goes in as audio, words come out one by one.

Several conversations have the model by turns: of a token each, of 30 s of audio, and of a prompt, whatever its length.
What was heard is remembered for a while, so that each answer of a conversation costs the new audio alone.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mistral_common.protocol.transcription.request import TranscriptionRequest
from transformers import AutoProcessor, VoxtralForConditionalGeneration
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging as transformers_logging

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.mistral_chat import TOOL_CALLS
from antiphon.engines.torch_device import speech_dtype
from antiphon.engines.turn_lock import TurnLock
from antiphon.riff import wav_of

OnText = Callable[[str], None]

_REMEMBERED = 64
"""Pieces of 30 s: half an hour, if they were full, and 147 MB with Voxtral Mini in bfloat16."""

_LONGEST_CHARACTER = 8
"""Tokens: a character that is not whole after so many never will be."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of an answer. ``calls`` is what the model wrote from its first call of a function on, marks and all."""

    input_tokens: int
    output_tokens: int
    ended: bool
    """It found its end, and was not cut at the most tokens."""
    calls: str = ""


class VoxtralModel:
    """Called in threads; one of them works on the model at a time."""

    def __init__(self, source: str, device: Any) -> None:
        """Reads the model from a folder, or from the hub's cache. Raises whatever the library raises."""
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        self._processor: Any = AutoProcessor.from_pretrained(source, local_files_only=True)
        model: Any = VoxtralForConditionalGeneration.from_pretrained(
            source, dtype=speech_dtype(device), local_files_only=True
        )
        self._model: Any = model.to(device).eval()
        self._tokenizer: Any = self._processor.tokenizer
        self._calls_mark = int(self._tokenizer.convert_tokens_to_ids(TOOL_CALLS))
        self.device = device
        self._memory: dict[bytes, list[Any]] = {}
        """What was heard, by its sound; what was used last is at the end."""
        self._turns = TurnLock()

    def answer(
        self,
        chat: Sequence[dict[str, Any]],
        tools: Sequence[dict[str, Any]],
        max_tokens: int,
        stop: threading.Event,
        on_text: OnText,
    ) -> Written:
        """Answers the conversation until the model has finished, or ``stop`` is set."""
        read = self._tokenizer.apply_chat_template(
            list(chat), tools=list(tools) or None, tokenize=True, return_dict=True, return_tensors=None
        )
        return self._write(list(read["input_ids"]), read.get("audio") or [], max_tokens, stop, on_text)

    def transcribe(self, pcm: bytes, max_tokens: int, stop: threading.Event, on_text: OnText) -> Written:
        """Writes down what is said, in the way that the model was trained to."""
        asked = {"model": "voxtral", "file": io.BytesIO(wav_of(pcm, EAR_RATE_HZ)), "language": None}
        read = self._tokenizer.tokenizer.encode_transcription(TranscriptionRequest.from_openai(asked))
        sounds = [sound.audio_array for sound in read.audios]
        return self._write(list(read.tokens), sounds, max_tokens, stop, on_text)

    def _write(
        self, tokens: list[int], sounds: Sequence[Any], max_tokens: int, stop: threading.Event, on_text: OnText
    ) -> Written:
        text = _Text(self, stop, on_text)
        with self._turns, torch.inference_mode():
            prompt = self._prompt(tokens, sounds, stop)
            if not stop.is_set():
                self._model.generate(
                    inputs_embeds=prompt,
                    attention_mask=torch.ones(prompt.shape[:2], dtype=torch.long, device=self.device),
                    max_new_tokens=max_tokens,
                    eos_token_id=self._tokenizer.eos_token_id,
                    pad_token_id=self._tokenizer.pad_token_id,
                    streamer=text,
                    stopping_criteria=StoppingCriteriaList([_Stop(stop)]),
                )
        return Written(len(tokens), text.count, text.ended, text.calls)

    def _prompt(self, tokens: list[int], sounds: Sequence[Any], stop: threading.Event) -> Any:
        """The tokens as the language model takes them, shape (1, tokens, width), with what was heard in its places."""
        ids = torch.tensor([tokens], device=self.device)
        prompt = self._model.get_input_embeddings()(ids)
        heard = [piece for sound in sounds for piece in self._heard(sound, stop)]
        if heard and not stop.is_set():
            places = (ids == self._model.config.audio_token_id).unsqueeze(-1)
            prompt = prompt.masked_scatter(places, torch.cat(heard).to(prompt.dtype))
        return prompt

    def _heard(self, sound: Any, stop: threading.Event) -> Iterator[Any]:
        """What the language model takes for each 30 s of ``sound``, each of shape (tokens, width)."""
        key = hashlib.blake2b(sound.tobytes(), digest_size=16).digest()
        known = self._memory.pop(key, None)
        if known is None:
            known = []
            for features in self._features(sound):
                if stop.is_set():
                    return
                taken = features.unsqueeze(0).to(self.device, self._model.dtype)
                known.append(self._model.get_audio_features(taken, return_dict=True).pooler_output)
                self.give_turn()
        self._memory[key] = known
        while sum(map(len, self._memory.values())) > _REMEMBERED:
            del self._memory[next(iter(self._memory))]
        yield from known

    def _features(self, sound: Any) -> Any:
        """The spectrogram in the pieces that the encoder takes, shape (pieces, mel bins, frames of a piece)."""
        extractor = self._processor.feature_extractor
        frames = 2 * int(self._model.config.audio_config.max_source_positions)
        whole = extractor(
            sound,
            sampling_rate=EAR_RATE_HZ,
            padding=True,
            truncation=False,
            pad_to_multiple_of=frames * extractor.hop_length,
            return_tensors="pt",
        )["input_features"]
        return whole.reshape(extractor.feature_size, -1, frames).transpose(0, 1)

    def is_end(self, token: int) -> bool:
        return bool(token == self._tokenizer.eos_token_id)

    def begins_calls(self, token: int) -> bool:
        return bool(token == self._calls_mark)

    def text_of(self, tokens: Sequence[int], *, marks: bool = False) -> str:
        """``marks``: with those that are no text."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=not marks))

    def give_turn(self) -> None:
        """Lets others have a token; called between two tokens."""
        self._turns.pass_on()


class _Stop(StoppingCriteria):  # type: ignore[misc]
    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return torch.full((input_ids.shape[0],), self._stop.is_set(), device=input_ids.device, dtype=torch.bool)


class _Text(BaseStreamer):  # type: ignore[misc]
    """Takes the tokens of one answer as they are made, and gives out its text in whole characters."""

    def __init__(self, model: VoxtralModel, stop: threading.Event, on_text: OnText) -> None:
        self._model = model
        self._stop = stop
        self._on_text = on_text
        self._prompt_came = False
        self._waiting: list[int] = []
        self._calling: list[int] = []
        self.count = 0
        self.ended = False

    @property
    def calls(self) -> str:
        return self._model.text_of(self._calling, marks=True)

    def put(self, value: Any) -> None:
        """Given the prompt first, and then each token, shape (1,)."""
        if not self._prompt_came:
            self._prompt_came = True
            return
        token = int(value[0])
        self.count += 1
        if self._model.is_end(token):
            self.ended = True
        elif self._calling or self._model.begins_calls(token):
            self._calling.append(token)
        else:
            self._waiting.append(token)
            self._give_out()
        if not self._stop.is_set():
            self._model.give_turn()

    def end(self) -> None:
        self._give_out(whole=True)

    def _give_out(self, *, whole: bool = False) -> None:
        text = self._model.text_of(self._waiting)
        if text.endswith("�") and not whole and len(self._waiting) < _LONGEST_CHARACTER:
            return
        self._waiting = []
        if text and not self._stop.is_set():
            self._on_text(text)
