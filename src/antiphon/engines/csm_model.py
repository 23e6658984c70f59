"""Sesame CSM in the library transformers: one model, the voices that speak with it, and their turns.

A frame is 80 ms: a step of the large model for its first code, and one of the small model for each of the others.
Several texts are spoken at a time by turns of a frame each, because an adapter is a state of the whole model.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor, CsmForConditionalGeneration
from transformers.generation.stopping_criteria import MaxLengthCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging as transformers_logging

from antiphon.engines.mimi_stream import MimiStream
from antiphon.engines.reference_sound import read_reference
from antiphon.engines.torch_device import speech_dtype
from antiphon.engines.turn_lock import TurnLock

SLOWEST_S_PER_CHARACTER = 0.2
"""Three times as long as people take: a model that does not find an end is stopped there."""
SPARE_S = 2.0
_GROUPS = (1, 2, 4)
"""How many frames are decoded together: the first at once, later ones with less work for each."""

OnSound = Callable[[Any], bool]
"""Given the next samples, numpy float32, shape (samples,); says whether to go on."""


@dataclass(frozen=True, slots=True)
class CsmVoice:
    """A speaker: the number that the model knows it by, and what it has been heard to say, if anything.

    ``heard`` is the model's cache after that, and ``heard_tokens`` its length.
    """

    speaker: int
    adapter: str | None = None
    heard: Any = None
    heard_tokens: int = 0


class CsmModel:
    """Called in threads; one of them works on the model at a time."""

    def __init__(self, source: str, device: Any) -> None:
        """Reads the model from a folder, or from the hub's cache. Raises whatever the library raises."""
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        self._processor: Any = AutoProcessor.from_pretrained(source, local_files_only=True)
        model: Any = CsmForConditionalGeneration.from_pretrained(
            source, dtype=speech_dtype(device), local_files_only=True
        )
        self._model: Any = model.to(device).eval()
        self._model.codec_model.float()  # its sound would suffer from less
        self.device = device
        self._turns = TurnLock()
        self._numbers = count()
        self._active: str | None = None

    @property
    def rate_hz(self) -> int:
        return int(self._model.codec_model.config.sampling_rate)

    @property
    def frame_s(self) -> float:
        return 1.0 / float(self._model.codec_model.config.frame_rate)

    def read_voice(self, speaker: int, audio: Path | None, text: str, lora: Path | None) -> CsmVoice:
        """A voice that sounds as in the recording ``audio``, where ``text`` is said, through the adapter ``lora``.

        Raises EngineError for the recording, and whatever the library raises for the adapter.
        """
        sound = None if audio is None else read_reference(audio, self.rate_hz)
        with self._turns, torch.inference_mode():
            adapter = None if lora is None else self._load_adapter(lora)
            if sound is None:
                return CsmVoice(speaker, adapter)
            self._activate(adapter)
            inputs = self._inputs(speaker, text, sound)
            heard = self._model(**inputs, use_cache=True).past_key_values
            return CsmVoice(speaker, adapter, heard, inputs["input_ids"].shape[1])

    def forget(self, voice: CsmVoice) -> None:
        """Frees what a voice keeps in the model. It must not speak any more."""
        if voice.adapter is None:
            return
        with self._turns:
            self._activate(None)
            self._model.delete_adapter(voice.adapter)

    def speak(self, voice: CsmVoice, text: str, stop: threading.Event, on_sound: OnSound) -> None:
        """Speaks until the model has said the text, ``stop`` is set or ``on_sound`` says so."""
        frames = int((SPARE_S + SLOWEST_S_PER_CHARACTER * len(text)) / self.frame_s)
        with self._turns, torch.inference_mode():
            self._activate(voice.adapter)
            inputs = self._inputs(voice.speaker, text)
            if voice.heard is not None:
                # Only what is new, under a mask over all of it: the cache has the rest.
                heard = inputs["attention_mask"].new_ones((1, voice.heard_tokens))
                inputs["attention_mask"] = torch.cat([heard, inputs["attention_mask"]], 1)
                inputs["past_key_values"] = copy.deepcopy(voice.heard)
            speech = _Speech(self, voice, stop, on_sound)
            stopping = StoppingCriteriaList([_Stop(stop)])
            self._model.generate(**inputs, max_new_tokens=frames, streamer=speech, stopping_criteria=stopping)

    def stream(self) -> MimiStream:
        return MimiStream(self._model.codec_model)

    def is_end(self, codes: Any) -> bool:
        """Whether a frame, shape (codebooks,), is the mark of the end. As in the library, its last code may be any."""
        return bool((codes[:-1] == self._model.config.codebook_eos_token_id).all())

    def give_turn(self, voice: CsmVoice) -> None:
        """Lets others have a frame; called between two frames of ``voice``."""
        self._turns.pass_on()
        self._activate(voice.adapter)

    def _inputs(self, speaker: int, text: str, sound: Any = None) -> dict[str, Any]:
        """One turn, as the model was trained on it; turns that follow each other are simply joined."""
        processor, marks = self._processor, self._processor.tokenizer
        written = f"{marks.bos_token}[{speaker}]{text.replace('<|', '< ')}{marks.eos_token}"
        if sound is not None:
            written += processor.audio_token + processor.audio_eos_token
        return dict(processor(text=written, audio=None if sound is None else [sound]).to(self.device))

    def _load_adapter(self, folder: Path) -> str:
        name = f"voice_{next(self._numbers)}"
        with torch.inference_mode(False), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there will be several, which is what is wanted
            self._model.load_adapter(str(folder), adapter_name=name)
        self._model.enable_adapters()  # it stays disabled where others were
        self._model.set_adapter(name)
        self._active = name
        return name

    def _activate(self, adapter: str | None) -> None:
        if adapter == self._active:
            return
        if adapter is None:
            self._model.disable_adapters()
        else:
            self._model.enable_adapters()
            self._model.set_adapter(adapter)
        self._active = adapter


class _Stop(MaxLengthCriteria):  # type: ignore[misc]
    """Ends a generation. CSM ignores every criterion that is not about the length."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(1 << 30)
        self._stop = stop

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return torch.full((input_ids.shape[0],), self._stop.is_set(), device=input_ids.device)


class _Speech(BaseStreamer):  # type: ignore[misc]
    """Takes the frames of one text as they are made, and gives out their sound."""

    def __init__(self, model: CsmModel, voice: CsmVoice, stop: threading.Event, on_sound: OnSound) -> None:
        self._model = model
        self._voice = voice
        self._stop = stop
        self._on_sound = on_sound
        self._codec = model.stream()
        self._waiting: list[Any] = []
        self._groups = 0
        self._prompt_came = False
        self._ended = False

    def put(self, value: Any) -> None:
        """Given the prompt first, and then the codes of each frame, shape (1, codebooks)."""
        if not self._prompt_came:
            self._prompt_came = True
            return
        self._ended = self._ended or self._model.is_end(value[0])
        if not self._ended and not self._stop.is_set():
            self._waiting.append(value[0])
            if len(self._waiting) >= _GROUPS[min(self._groups, len(_GROUPS) - 1)]:
                self._give_out()
        self._model.give_turn(self._voice)

    def end(self) -> None:
        if not self._stop.is_set():
            self._give_out()

    def _give_out(self) -> None:
        if not self._waiting:
            return
        codes = torch.stack(self._waiting, 1).to(self._model.device)
        self._waiting = []
        self._groups += 1
        if not self._on_sound(self._codec.push(codes).cpu().numpy()):
            self._stop.set()
