"""CosyVoice 2 in its own library: one model, the voices that speak with it, and their turns.

The language model makes 25 tokens for a second of sound. The library would run it in a thread of its own, which cannot
be stopped, and look for tokens ten times a second; here each token is a turn, and sound is made as soon as there are
enough of them, cut and joined as the library does it.
"""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hyperpyyaml
import numpy as np
import onnxruntime
import torch
import whisper
from ruamel.yaml import YAML
from torchaudio.compliance import kaldi
from transformers.utils import logging as transformers_logging

from antiphon.engines.reference_sound import read_reference
from antiphon.engines.turn_lock import TurnLock

SETTINGS = "cosyvoice2.yaml"
TOKENIZER = "CosyVoice-BlankEN"
SPEAKERS = "spk2info.pt"
_PARTS = ("sample_rate", "llm", "flow", "hift", "get_tokenizer", "feat_extractor")
"""Of the settings. The others are for training, and need packages that speaking does not."""
_MODULES = (
    "cosyvoice.utils.common",
    "cosyvoice.llm.llm",
    "cosyvoice.flow.flow",
    "cosyvoice.flow.flow_matching",
    "cosyvoice.flow.decoder",
    "cosyvoice.transformer.upsample_encoder",
    "cosyvoice.hifigan.generator",
    "cosyvoice.hifigan.f0_predictor",
    "cosyvoice.tokenizer.tokenizer",
    "matcha.utils.audio",
)
_REFERENCE_HZ = 16000
"""What the tokens and the speaker of a recording are told from."""
_HOP_TOKENS = 25
"""So many make a piece of sound: the model's attention is cut at these places."""
_OVERLAP_FRAMES = 8
"""Of the spectrum, through which a piece of sound fades into the next."""
_SAMPLES_PER_FRAME = 480

OnSound = Callable[[Any], bool]
"""Given the next samples, numpy float32, shape (samples,); says whether to go on."""


@dataclass(frozen=True, slots=True)
class CosyVoiceVoice:
    """A speaker. The first two are what the language model goes on from; they are empty where no words are known."""

    text: Any
    """Tokens, shape (1, n)."""
    spoken: Any
    """Tokens of speech, shape (1, n)."""
    heard: Any
    """The same or more, for the spectrum."""
    spectrum: Any
    """Shape (1, frames, 80)."""
    speaker: Any
    """Shape (1, 192)."""


class CosyVoiceModel:
    """Called in threads; one of them works on the model at a time."""

    def __init__(self, folder: Path, device: Any) -> None:
        """Reads the files of a published model. Raises ImportError, and whatever the libraries raise."""
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        import_library()
        parts = speaking_parts(folder)
        self.device = device
        self.rate_hz = int(parts["sample_rate"])
        self._tokenizer = parts["get_tokenizer"]()
        self._spectrum = parts["feat_extractor"]
        self.llm = _filled(parts["llm"], folder / "llm.pt", device)
        self.flow = _filled(parts["flow"], folder / "flow.pt", device)
        self.hift = _filled(parts["hift"], folder / "hift.pt", device)
        self._speech_tokens = _session(folder / "speech_tokenizer_v2.onnx")
        self._speaker = _session(folder / "campplus.onnx")
        self.own = self._saved_voices(folder / SPEAKERS)
        """Voices that were saved with the model, by the library's save_spkinfo."""
        self._turns = TurnLock()

    def nobody(self) -> CosyVoiceVoice:
        """A voice like none in particular, to warm up with."""
        return self._voice_of({"flow_embedding": torch.zeros(1, 192)})

    def read_voice(self, audio: Path, text: str) -> CosyVoiceVoice:
        """A voice that sounds as in a recording, in which ``text`` is said. Raises EngineError."""
        sound = torch.from_numpy(read_reference(audio, _REFERENCE_HZ))[None]
        finer = torch.from_numpy(read_reference(audio, self.rate_hz))[None]
        with self._turns, torch.inference_mode():
            loudness = whisper.log_mel_spectrogram(sound, n_mels=128)
            first, second = (given.name for given in self._speech_tokens.get_inputs())
            length = np.array([loudness.shape[2]], np.int32)
            (spoken, *_) = self._speech_tokens.run(None, {first: loudness.numpy(), second: length})
            bands = kaldi.fbank(sound, num_mel_bins=80, dither=0, sample_frequency=_REFERENCE_HZ)
            bands = (bands - bands.mean(dim=0, keepdim=True))[None].numpy()
            (speaker, *_) = self._speaker.run(None, {self._speaker.get_inputs()[0].name: bands})
            spectrum = self._spectrum(finer).transpose(1, 2)
        tokens = torch.from_numpy(spoken.reshape(1, -1)).to(torch.int32)
        ratio = self.flow.token_mel_ratio
        known = min(spectrum.shape[1] // ratio, tokens.shape[1])
        heard = {
            "flow_prompt_speech_token": tokens[:, :known],
            "prompt_speech_feat": spectrum[:, : ratio * known],
            "flow_embedding": torch.from_numpy(speaker.reshape(1, -1)),
        }
        if text:
            heard |= {"prompt_text": self._tokens(text), "llm_prompt_speech_token": tokens[:, :known]}
        return self._voice_of(heard)

    def speak(self, voice: CosyVoiceVoice, text: str, stop: threading.Event, on_sound: OnSound) -> None:
        """Says ``text``, until the model finds its end, ``stop`` is set or ``on_sound`` says so."""
        with self._turns, torch.inference_mode():
            sound = _Sound(self, voice)
            with closing(self._steps(voice, self._tokens(text))) as steps:
                for token in steps:
                    sound.push(token)
                    if stop.is_set() or (sound.ready and not on_sound(sound.take())):
                        return
                    self._turns.pass_on()
            if not stop.is_set() and sound.waiting:
                on_sound(sound.take(last=True))

    def _steps(self, voice: CosyVoiceVoice, tokens: Any) -> Any:
        return self.llm.inference(
            text=tokens,
            text_len=_length(tokens),
            prompt_text=voice.text,
            prompt_text_len=_length(voice.text),
            prompt_speech_token=voice.spoken,
            prompt_speech_token_len=_length(voice.spoken),
            embedding=voice.speaker,
        )

    def _tokens(self, text: str) -> Any:
        """Signs that the model reads as orders, as <|endofprompt|>, are no part of a text."""
        written = self._tokenizer.encode(text.replace("<|", "< |"))
        return torch.tensor([written], dtype=torch.int32, device=self.device)

    def _saved_voices(self, file: Path) -> dict[str, CosyVoiceVoice]:
        saved = torch.load(file, map_location="cpu", weights_only=True) if file.is_file() else {}
        return {name: self._voice_of(heard) for name, heard in saved.items()}

    def _voice_of(self, heard: dict[str, Any]) -> CosyVoiceVoice:
        """From what the library's front end makes of a recording."""
        none = torch.zeros(1, 0, dtype=torch.int32)
        speaker = heard["flow_embedding"] if "flow_embedding" in heard else heard["embedding"]
        parts = (
            heard.get("prompt_text", none),
            heard.get("llm_prompt_speech_token", none),
            heard.get("flow_prompt_speech_token", none),
            heard.get("prompt_speech_feat", torch.zeros(1, 0, 80)),
            speaker,
        )
        return CosyVoiceVoice(*(part.to(self.device) for part in parts))


def import_library() -> None:
    """Raises ImportError where the library, or a package that it needs, is not installed."""
    with _quiet():
        for module in _MODULES:
            importlib.import_module(module)


class _Sound:
    """From the tokens of one text to its samples."""

    def __init__(self, model: CosyVoiceModel, voice: CosyVoiceVoice) -> None:
        self._model = model
        self._voice = voice
        self._tokens: list[int] = []
        self._taken = 0
        self._next_tokens: int = _HOP_TOKENS + -voice.heard.shape[1] % _HOP_TOKENS
        self._fade = np.hamming(2 * _OVERLAP_FRAMES * _SAMPLES_PER_FRAME).astype(np.float32)
        self._overlap: tuple[Any, Any, Any] | None = None
        """The end of the last piece: spectrum, source and sound."""

    def push(self, token: int) -> None:
        self._tokens.append(token)

    @property
    def waiting(self) -> bool:
        return len(self._tokens) > self._taken or self._overlap is not None

    @property
    def ready(self) -> bool:
        return len(self._tokens) >= self._taken + self._next_tokens + int(self._model.flow.pre_lookahead_len)

    def take(self, *, last: bool = False) -> Any:
        """The next piece, or all the rest; numpy float32, shape (samples,)."""
        flow, hift, voice = self._model.flow, self._model.hift, self._voice
        end = None if last else self._taken + self._next_tokens + flow.pre_lookahead_len
        tokens = torch.tensor(self._tokens[:end], dtype=torch.int32, device=self._model.device)[None]
        frames, _ = flow.inference(
            token=tokens,
            token_len=_length(tokens),
            prompt_token=voice.heard,
            prompt_token_len=_length(voice.heard),
            prompt_feat=voice.spectrum,
            prompt_feat_len=_length(voice.spectrum),
            embedding=voice.speaker,
            streaming=not last,
            finalize=last,
        )
        frames = frames[:, :, self._taken * flow.token_mel_ratio :]
        self._taken += self._next_tokens
        self._next_tokens = _HOP_TOKENS
        if self._overlap is None:
            sound, source = hift.inference(speech_feat=frames)
        else:
            before, source, faded = self._overlap
            frames = torch.cat([before, frames], 2)
            sound, source = hift.inference(speech_feat=frames, cache_source=source)
            sound = _cross_faded(faded, sound, self._fade)
        if not last:
            samples = len(self._fade) // 2
            self._overlap = (frames[:, :, -_OVERLAP_FRAMES:], source[:, :, -samples:], sound[:, -samples:])
            sound = sound[:, :-samples]
        return sound[0].float().cpu().numpy()


def _cross_faded(before: Any, after: Any, window: Any) -> Any:
    """``after``, whose first samples come up while the last of ``before`` go down."""
    samples = len(window) // 2
    up, down = (torch.from_numpy(half).to(after) for half in (window[:samples], window[samples:]))
    return torch.cat([after[:, :samples] * up + before * down, after[:, samples:]], 1)


def _length(part: Any) -> Any:
    return torch.tensor([part.shape[1]], dtype=torch.int32, device=part.device)


def _filled(module: Any, file: Path, device: Any) -> Any:
    """With the weights of a file, in float32 whatever the library made it in."""
    weights = torch.load(file, map_location="cpu", weights_only=True)
    named = {name.removeprefix("generator."): value for name, value in weights.items()}
    module.float().load_state_dict(named)
    return module.to(device).eval()


def _session(file: Path) -> Any:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def speaking_parts(folder: Path) -> Any:
    """Those of the settings file that are needed, made."""
    with (folder / SETTINGS).open(encoding="utf-8") as file:
        resolved = hyperpyyaml.resolve_references(file, {"qwen_pretrain_path": str(folder / TOKENIZER)})
    plain = YAML()
    settings = plain.load(resolved)
    for name in [name for name in settings if name not in _PARTS]:
        del settings[name]
    resolved.seek(0)
    resolved.truncate()
    plain.dump(settings, resolved)
    resolved.seek(0)
    with _quiet():
        return hyperpyyaml.load_hyperpyyaml(resolved)


@contextmanager
def _quiet() -> Iterator[None]:
    """The library warns of itself, and would have everything logged, where nobody has set up logging before."""
    root = logging.getLogger()
    guard = logging.NullHandler()
    root.addHandler(guard)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(guard)
