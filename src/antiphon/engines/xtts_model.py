"""XTTS-v2 in the library coqui-tts: one model, the voices that speak with it, and their turns.

A step of its GPT makes a latent, some 46 ms of sound. The library's own stream decodes all latents again for each
piece of sound; here each is decoded once, with as many neighbours as the vocoder sees, so that the pieces add up to
what the library makes of all latents together. Several texts are spoken at a time by turns of a step each: the model
knows one prompt at a time.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models import xtts as library

from antiphon.engines.reference_sound import read_reference
from antiphon.engines.segments import parts_of
from antiphon.engines.turn_lock import TurnLock

SLOWEST_S_PER_TOKEN = 0.5
"""More than people take for a token of text, which is some letters: a model that finds no end is stopped there."""
SPARE_S = 2.0
_GROUPS = (6, 6, 12)
"""How many latents are decoded together: the first soon, later ones with less work for each."""
_REFERENCE_HZ = 22050
"""What the library reads recordings at."""

OnSound = Callable[[Any], bool]
"""Given the next samples, numpy float32, shape (samples,); says whether to go on."""


@dataclass(frozen=True, slots=True)
class XttsVoice:
    """A speaker, as the GPT and as the vocoder know it, and the language that is spoken: the library's name of it."""

    heard: Any
    speaker: Any
    language: str


class XttsModel:
    """Called in threads; one of them works on the model at a time."""

    def __init__(self, folder: Path, device: Any) -> None:
        """Reads config.json, model.pth, vocab.json and speakers_xtts.pth. Raises whatever the library raises."""
        logging.getLogger("TTS").setLevel(logging.ERROR)  # it tells texts
        transformers_logging.set_verbosity_error()
        config = XttsConfig()
        config.load_json(str(folder / "config.json"))
        model: Any = _Xtts(config)
        model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
        self._model: Any = model.to(device)
        self.device = device
        self._turns = TurnLock()

    @property
    def rate_hz(self) -> int:
        return int(self._model.args.output_sample_rate)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Those that come with the model."""
        manager = self._model.speaker_manager
        return tuple(manager.speaker_names) if manager is not None else ()

    def own_voice(self, speaker: str, language: str) -> XttsVoice:
        heard, sound = (part.to(self.device) for part in self._model.speaker_manager.speakers[speaker].values())
        return XttsVoice(heard, sound, language)

    def read_voice(self, audio: Path, language: str) -> XttsVoice:
        """A voice that sounds as in a recording. Raises EngineError."""
        sound = torch.from_numpy(read_reference(audio, _REFERENCE_HZ))[None].to(self.device)
        config = self._model.config
        lengths = {"length": config.gpt_cond_len, "chunk_length": config.gpt_cond_chunk_len}
        with self._turns, torch.inference_mode():
            heard = self._model.get_gpt_cond_latents(sound, _REFERENCE_HZ, **lengths)
            speaker = self._model.get_speaker_embedding(sound[:, : config.max_ref_len * _REFERENCE_HZ], _REFERENCE_HZ)
        return XttsVoice(heard, speaker, language)

    def pieces(self, text: str, language: str) -> Iterator[str]:
        """Cuts ``text`` into as much as the model says at a time in that language. Joined they are the text again."""
        limit = self._model.tokenizer.char_limits[language.partition("-")[0]]
        for part in parts_of(text, limit):
            yield from self._halved(part.text, language)

    def speak(self, voice: XttsVoice, text: str, speed: float, stop: threading.Event, on_sound: OnSound) -> None:
        """Says one of ``pieces``, until the model finds its end, ``stop`` is set or ``on_sound`` says so."""
        gpt = self._model.gpt
        with self._turns, torch.inference_mode():
            tokens = self._tokens(text, voice.language)
            steps = gpt.get_generator(
                fake_inputs=gpt.compute_embeddings(voice.heard, tokens), output_hidden_states=True, **self._sampling()
            )
            prompt = gpt.gpt_inference.cached_prefix_emb
            sound = _Sound(self._model.hifigan_decoder, voice.speaker, 1.0 / speed)
            most = int((SPARE_S + SLOWEST_S_PER_TOKEN * tokens.shape[1]) / self._step_s())
            group = 0
            for number, (_code, latent) in enumerate(steps, 1):
                sound.push(latent)
                if stop.is_set() or number >= most:
                    break
                if sound.waiting >= _GROUPS[min(group, len(_GROUPS) - 1)]:
                    group += 1
                    if not on_sound(sound.take()):
                        return
                self._turns.pass_on()
                gpt.gpt_inference.store_prefix_emb(prompt)
            if not stop.is_set():
                on_sound(sound.take(last=True))

    def _halved(self, text: str, language: str) -> Iterator[str]:
        """Numbers are written out, so that even few characters may be too many tokens."""
        if self._tokens(text, language).shape[1] < self._model.args.gpt_max_text_tokens or len(text) < 2:
            yield text
            return
        for part in parts_of(text, (len(text) + 1) // 2):
            yield from self._halved(part.text, language)

    def _tokens(self, text: str, language: str) -> Any:
        written = self._model.tokenizer.encode(text.strip().lower(), lang=language)
        return torch.tensor([written], dtype=torch.int32, device=self.device)

    def _sampling(self) -> dict[str, Any]:
        """As the library samples, by the model's own configuration."""
        config = self._model.config
        return {
            "do_sample": True,
            "top_k": config.top_k,
            "top_p": config.top_p,
            "temperature": config.temperature,
            "length_penalty": float(config.length_penalty),
            "repetition_penalty": float(config.repetition_penalty),
            "num_beams": 1,
            "num_return_sequences": 1,
            "output_attentions": False,
            "return_dict_in_generate": True,
        }

    def _step_s(self) -> float:
        args = self._model.args
        return float(args.gpt_code_stride_len / args.input_sample_rate)


class _Xtts(library.Xtts):  # type: ignore[misc]
    def _load_checkpoint(self, model_path: Path) -> dict[str, Any]:
        """The library's own would write the published file anew, in another form, under whoever else is reading it."""
        with library._legacy_safe_globals():
            checkpoint: dict[str, Any] = torch.load(model_path, map_location="cpu", weights_only=True)
        state: dict[str, Any] = checkpoint["model"]
        return state


class _Sound:
    """From the latents of one text to its samples."""

    def __init__(self, decoder: Any, speaker: Any, stretch: float) -> None:
        """``decoder`` is a HifiDecoder. ``stretch`` is how much longer than the model speaks it shall sound."""
        self._vocoder = decoder.waveform_decoder
        self._speaker = speaker
        scales = (
            stretch,
            decoder.ar_mel_length_compression / decoder.output_hop_length,
            decoder.output_sample_rate / decoder.input_sample_rate,
        )
        self._scales = tuple(scale for scale in scales if scale != 1.0)
        self._reach, self._hop_samples = reach_of(self._vocoder)
        self._latents: list[Any] = []
        self._columns = 0
        """So many columns of the vocoder's input are sound already."""
        self.waiting = 0
        """Latents since sound was taken last."""

    def push(self, latent: Any) -> None:
        """Takes the next latent, shape (1, channels)."""
        self._latents.append(latent)
        self.waiting += 1

    def take(self, *, last: bool = False) -> Any:
        """What can be told of the next sound, or all of it; numpy float32, shape (samples,)."""
        self.waiting = 0
        columns, known = torch.stack(self._latents, 2), len(self._latents)
        for scale in self._scales:
            columns = torch.nn.functional.interpolate(columns, scale_factor=[scale], mode="linear")
            known = _known_after(known, scale)
        known = columns.shape[2] if last else known
        end = known if last else max(self._columns, known - self._reach)
        first = max(0, self._columns - self._reach)
        if end == self._columns:
            return columns.new_zeros(0).cpu().numpy()
        sound = self._vocoder(columns[:, :, first:known], g=self._speaker)[0, 0]
        wanted = sound[(self._columns - first) * self._hop_samples : (end - first) * self._hop_samples]
        self._columns = end
        return wanted.float().cpu().numpy()


def _known_after(known: int, scale: float) -> int:
    """How many of the interpolated columns do not change any more with those to come."""
    return max(0, math.floor((known - 0.5) * scale - 0.5))


def reach_of(vocoder: Any) -> tuple[int, int]:
    """How many columns before and after one a HifiganGenerator sees, and how many samples it makes of one."""
    columns, rate = _half_width(vocoder.conv_pre), 1
    for number, up in enumerate(vocoder.ups):
        columns += up.kernel_size[0] / up.stride[0] / rate
        rate *= up.stride[0]
        blocks = vocoder.resblocks[number * vocoder.num_kernels : (number + 1) * vocoder.num_kernels]
        columns += max(sum(_half_width(conv) for conv in (*block.convs1, *block.convs2)) for block in blocks) / rate
    return math.ceil(columns + _half_width(vocoder.conv_post) / rate), rate


def _half_width(conv: Any) -> float:
    return float((conv.kernel_size[0] - 1) * conv.dilation[0] / 2)
