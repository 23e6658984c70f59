"""The models that can be pulled: where each comes from, under which licence, and its checksums where they are known.

Facts, not files: they were read in the cards and listings of the repositories named, and where a checksum is missing
the one that the hub's own headers give is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.errors import ConfigError

HUB = "hub:"
"""In front of a repository of the Hugging Face hub, whose address can be set."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a model: where it is at its source, and what it is called here.

    ``path`` may name a source of its own: ``hub:OWNER/REPOSITORY@REVISION/PATH``.
    """

    path: str
    name: str
    sha256: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """``name`` is ``engine:model``. ``source`` is ``hub:OWNER/REPOSITORY@REVISION`` or a folder's URL."""

    name: str
    what: str
    source: str
    files: tuple[File, ...]
    licence: str
    size_mb: int

    @property
    def engine(self) -> str:
        return self.name.partition(":")[0]

    @property
    def model(self) -> str:
        return self.name.partition(":")[2]


_PIPER_VOICE = re.compile(r"(?P<family>[a-z]{2,3})_(?P<region>[A-Z]{2})-(?P<speaker>[A-Za-z0-9_]+)-(?P<quality>\w+)")
_PIPER_SIZES_MB = {"x_low": 20, "low": 63, "medium": 63, "high": 114}
"""Of one speaker; the listing of the voices' repository."""


def _piper(voice: str) -> Model | None:
    """Any voice of rhasspy/piper-voices, whose paths follow from the names."""
    parts = _PIPER_VOICE.fullmatch(voice)
    if parts is None or parts["quality"] not in _PIPER_SIZES_MB:
        return None
    family, region, speaker, quality = parts.groups()
    folder = f"{family}/{family}_{region}/{speaker}/{quality}"
    files = (f"{voice}.onnx", f"{voice}.onnx.json")
    return Model(
        f"piper:{voice}",
        f"Piper, {family}-{region}, {speaker}, {quality}",
        f"{HUB}rhasspy/piper-voices@v1.0.0",
        (*(File(f"{folder}/{name}", name) for name in files), File(f"{folder}/MODEL_CARD", "MODEL_CARD")),
        "MIT; the recordings' own in MODEL_CARD",
        _PIPER_SIZES_MB[quality],
    )


def _whisper(name: str, repository: str, files: str, what: str, size_mb: int) -> Model:
    return Model(
        f"faster-whisper:{name}",
        what,
        f"{HUB}{repository}@main",
        tuple(File(file, file) for file in files.split()),
        "MIT",
        size_mb,
    )


_KOKORO = Model(
    "kokoro:v1.0",
    "Kokoro 82M, 54 voices",
    "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0",
    (
        File(
            "kokoro-v1.0.onnx",
            "kokoro-v1.0.onnx",
            "7d5df8ecf7d4b1878015a32686053fd0eebe2bc377234608764cc0ef3636a6c5",
            325_532_387,
        ),
        File(
            "voices-v1.0.bin",
            "voices-v1.0.bin",
            "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
            28_214_398,
        ),
    ),
    "Apache-2.0",
    354,
)

_MLX_KOKORO_VOICES = (
    "af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam am_echo "
    "am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa bf_alice bf_emma bf_isabella bf_lily bm_daniel "
    "bm_fable bm_george bm_lewis ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola "
    "pf_dora pm_alex pm_santa"
)
"""Those in languages that are offered here."""

_MLX_KOKORO = Model(
    "mlx-audio:Kokoro-82M-bf16",
    "Kokoro 82M for MLX, 41 voices",
    f"{HUB}mlx-community/Kokoro-82M-bf16@main",
    (
        File("config.json", "config.json"),
        File("kokoro-v1_0.safetensors", "kokoro-v1_0.safetensors", size_bytes=327_115_152),
        *(File(name, name) for name in (f"voices/{voice}.safetensors" for voice in _MLX_KOKORO_VOICES.split())),
    ),
    "Apache-2.0",
    349,
)


def _parakeet(name: str, what: str, size_mb: int) -> Model:
    return Model(
        f"parakeet:{name}",
        what,
        f"{HUB}mlx-community/parakeet-{name}@main",
        tuple(File(file, file) for file in ("config.json", "model.safetensors")),
        "CC-BY-4.0",
        size_mb,
    )


_POCKET_VOICES = {
    "english": "alba azelma cosette eponine fantine javert jean marius",
    "french": "estelle",
    "german": "juergen",
    "portuguese": "rafael",
    "italian": "giovanni",
    "spanish": "lola",
    "dutch": "daan",
}
"""English has the package's first voices, the others its default ones."""
_POCKET_TOKENIZERS = dict.fromkeys(_POCKET_VOICES, "4e1e0a3e611c51c0b4ed8174fc10f32a54644303") | {
    "english": "00eac05ed3d16bdc3f6b5d598874019c34a89214",
    "french": "8843db76457a91db32077edf8dfcd1c0e3e755fd",
}
"""Revisions, as the configurations of pocket-tts 4.0.1 name them; those of the weights and voices are below."""
_POCKET_OPEN = "kyutai/pocket-tts-without-voice-cloning"
_POCKET_STATES = "a7056f505a4a8ca72d8b5fb1440071d6f1a35739"


def _pocket(language: str, *, cloning: bool = False) -> Model:
    """A model of pocket-tts, with the weights that clone voices or without."""
    english = language == "english"
    folder = f"languages/{language}"
    if cloning:
        revision = "db04f0e653473e5c7333c69686ac92b7460b0c1d" if english else "3e82814a68665eec246ff649b14c71331f955c06"
        source = f"{HUB}kyutai/pocket-tts@{revision}"
    else:
        revision = _POCKET_STATES if english else "1e08e6a23401048648a9fdcfde2f89348215c2a7"
        source = f"{HUB}{_POCKET_OPEN}@{revision}"
    weights = "model.safetensors" if cloning else "model_without_voice_cloning.safetensors"
    tokenizer = f"{HUB}{_POCKET_OPEN}@{_POCKET_TOKENIZERS[language]}/{folder}/tokenizer.json"
    states = f"{HUB}{_POCKET_OPEN}@{_POCKET_STATES}/{folder}/embeddings"
    return Model(
        f"pocket-tts:{language}{'-cloning' if cloning else ''}",
        f"pocket-tts, {language.capitalize()}{', clones voices' if cloning else ''}",
        source,
        (
            File(f"{folder}/model.safetensors", weights),
            File(tokenizer, "tokenizer.json"),
            *(
                File(f"{states}/{voice}.safetensors", f"embeddings/{voice}.safetensors")
                for voice in _POCKET_VOICES[language].split()
            ),
        ),
        "its cards' own; terms must be accepted" if cloning else "its cards' own",
        0,
    )


_CSM = Model(
    "csm:1b",
    "Sesame CSM 1B, English, for GPUs",
    f"{HUB}sesame/csm-1b@main",
    (
        *(
            File(name, name)
            for name in (
                "config.json",
                "generation_config.json",
                "preprocessor_config.json",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "transformers.safetensors.index.json",
            )
        ),
        File("transformers-00001-of-00002.safetensors", "transformers-00001-of-00002.safetensors"),
        File("transformers-00002-of-00002.safetensors", "transformers-00002-of-00002.safetensors"),
    ),
    "Apache-2.0; its terms must be accepted",
    7152,
)
"""The export for transformers alone: the repository has the same weights twice more."""

_VOXTRAL = Model(
    "voxtral:mini-3b",
    "Voxtral Mini 3B, hears eight languages and answers, for GPUs",
    f"{HUB}mistralai/Voxtral-Mini-3B-2507@main",
    tuple(
        File(name, name)
        for name in (
            "config.json",
            "generation_config.json",
            "preprocessor_config.json",
            "tekken.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        )
    ),
    "Apache-2.0",
    9350,
)
"""The export for transformers alone: the repository has the same weights once more."""

_XTTS = Model(
    "xtts:v2",
    "XTTS-v2, 17 languages, clones voices, for GPUs",
    f"{HUB}coqui/XTTS-v2@main",
    tuple(File(name, name) for name in ("config.json", "model.pth", "vocab.json", "speakers_xtts.pth")),
    "Coqui Public Model License: no commercial use",
    1880,
)

_MOONSHINE = Model(
    "moonshine:base-en",
    "Moonshine base, English",
    "https://download.moonshine.ai/model/base-en/quantized/base-en",
    tuple(File(name, name) for name in ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")),
    "MIT",
    0,
)


def _gguf(name: str, repository: str, file: str, what: str, licence: str, size_mb: int) -> Model:
    return Model(f"gguf:{name}", what, f"{HUB}{repository}@main", (File(file, file),), licence, size_mb)


_PIPER_LISTED = ("en_US-amy-medium", "en_US-lessac-medium", "en_GB-alan-medium", "de_DE-thorsten-medium")
"""Those shown in the list; the others can be pulled as well."""


def _listed() -> Iterator[Model]:
    yield _KOKORO
    yield _MLX_KOKORO
    for voice in _PIPER_LISTED:
        model = _piper(voice)
        assert model is not None
        yield model
    plain = "config.json model.bin tokenizer.json vocabulary.txt"
    distilled = "config.json model.bin preprocessor_config.json tokenizer.json vocabulary.json"
    yield _whisper("small", "Systran/faster-whisper-small", plain, "Whisper small, 99 languages", 486)
    yield _whisper("small.en", "Systran/faster-whisper-small.en", plain, "Whisper small, English", 486)
    yield _whisper(
        "distil-large-v3", "Systran/faster-distil-whisper-large-v3", distilled, "Distil-Whisper large v3, English", 1514
    )
    yield _parakeet("tdt-0.6b-v3", "Parakeet TDT 0.6B v3 for MLX, 25 European languages", 2510)
    yield _parakeet("tdt-0.6b-v2", "Parakeet TDT 0.6B v2 for MLX, English", 2470)
    for language in _POCKET_TOKENIZERS:
        yield _pocket(language)
    yield _pocket("english", cloning=True)
    yield _CSM
    yield _VOXTRAL
    yield _XTTS
    for size, quantized, size_mb in (("0.6B", "Q8_0", 639), ("1.7B", "Q8_0", 1834), ("4B", "Q4_K_M", 2497)):
        yield _gguf(
            f"qwen3-{size.lower()}",
            f"Qwen/Qwen3-{size}-GGUF",
            f"Qwen3-{size}-{quantized}.gguf",
            f"Qwen3 {size}, {quantized}: a language model for llama.cpp",
            "Apache-2.0",
            size_mb,
        )
    yield _MOONSHINE


MODELS: dict[str, Model] = {model.name: model for model in _listed()}


def find_model(name: str) -> Model:
    """Raises ConfigError for a model that there is not."""
    known = MODELS.get(name)
    if known is None and name.startswith("piper:"):
        known = _piper(name.removeprefix("piper:"))
    language = name.removeprefix("pocket-tts:").removesuffix("-cloning")
    if known is None and name == f"pocket-tts:{language}-cloning" and language in _POCKET_VOICES:
        known = _pocket(language, cloning=True)
    if known is None:
        raise ConfigError(
            f"there is no model called {name!r}; there are {', '.join(MODELS)}, and every voice of "
            "https://huggingface.co/rhasspy/piper-voices as piper:LANGUAGE_REGION-SPEAKER-QUALITY"
        )
    return known
