"""Voices of Piper and Kokoro with random weights and the very files, inputs and outputs of the real ones.

Each phoneme has a length, a pitch and a loudness of its own, drawn at random; spaces and punctuation are silent. So
what sounds when can be told from the phonemes, and heard in the audio.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SLOW_SOUND = "ʒ"
"""A phoneme, as in "vision", that takes the model half a minute."""
_SLOW_PASSES = 20_000_000


class _Graph:
    """A graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def save(self, path: Path, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        graph = helper.make_graph(self.nodes, "tiny", list(inputs), list(outputs), self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))


def _durations(graph: _Graph, ids: str, lengths: str, scale: str) -> str:
    """The frames of each id, float, shape (1, 1, n), by the graph's one Ceil, as in VITS."""
    frames = graph.add("Mul", graph.add("Gather", lengths, ids), scale)
    return graph.add("Ceil", graph.add("Reshape", frames, graph.constant([1, 1, -1], np.int64)))


def _sound(graph: _Graph, ids: str, frames: str, tables: tuple[str, str], factor: str, hop: int) -> str:
    """The audio, shape (samples,): a tone of its own for each id, from tables of pitches and loudnesses."""
    one, zero = graph.constant(1, np.int64), graph.constant(0, np.int64)
    flat = graph.constant([-1], np.int64)
    ends = graph.add("CumSum", graph.add("Reshape", frames, flat), zero)
    count = graph.add("Cast", graph.add("ReduceSum", frames, keepdims=0), to=TensorProto.INT64)
    clock = graph.add("Cast", graph.add("Range", zero, count, one), to=TensorProto.FLOAT)
    column = graph.add("Reshape", clock, graph.constant([-1, 1], np.int64))
    passed = graph.add("Cast", graph.add("GreaterOrEqual", column, ends), to=TensorProto.INT64)
    place = graph.add("ReduceSum", passed, graph.constant([1], np.int64), keepdims=0)
    by_frame = graph.add("Gather", ids, place)
    samples = graph.add("Range", zero, graph.add("Mul", count, graph.constant(hop, np.int64)), one)
    by_sample = graph.add("Gather", by_frame, graph.add("Div", samples, graph.constant(hop, np.int64)))
    pitch = graph.add("Mul", graph.add("Gather", tables[0], by_sample), factor)
    wave = graph.add("Sin", graph.add("Mul", pitch, graph.add("Cast", samples, to=TensorProto.FLOAT)))
    return graph.add("Mul", wave, graph.add("Gather", tables[1], by_sample))


def _slowed(graph: _Graph, sound: str, ids: str, passes: str) -> str:
    """The same sound, after as many idle passes as the ids ask for."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "weights"], ["next"]),
            helper.make_node("Identity", ["go_on"], ["go_on_again"]),
        ],
        "pass",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [8, 8]),
        ],
        [
            helper.make_tensor_value_info("go_on_again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [8, 8]),
        ],
        [numpy_helper.from_array(np.eye(8, dtype=np.float32), "weights")],
    )
    count = graph.add("ReduceSum", graph.add("Gather", passes, ids), keepdims=0)
    state = graph.constant(np.zeros((8, 8)), np.float32)
    end = graph.add("Loop", count, graph.constant(True, np.bool_), state, body=body)
    return graph.add("Add", sound, graph.add("ReduceSum", end, keepdims=0))


def _tables(graph: _Graph, ids: Mapping[str, Sequence[int]]) -> tuple[str, str, str, str]:
    """By id: frames, pitch in radians a sample, loudness, passes."""
    random = np.random.default_rng(1)
    size = 1 + max(max(of_one) for of_one in ids.values())
    loudness, passes = np.zeros(size), np.zeros(size)
    for phoneme, of_one in ids.items():
        loudness[list(of_one)] = random.uniform(0.4, 0.9) if phoneme[0].isalpha() else 0.0
        passes[list(of_one)] = _SLOW_PASSES if phoneme == SLOW_SOUND else 0
    return (
        graph.constant(random.uniform(1.5, 4.5, size), np.float32),
        graph.constant(random.uniform(0.05, 0.3, size), np.float32),
        graph.constant(loudness, np.float32),
        graph.constant(passes, np.int64),
    )


def write_piper_voice(path: Path, speakers: Sequence[str] = (), language: str = "en_US") -> Path:
    """``path`` and, beside it, its JSON file. Returns ``path``."""
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    hop = 256
    graph = _Graph()
    lengths, pitches, loudness, passes = _tables(graph, DEFAULT_PHONEME_ID_MAP)
    ids = graph.add("Reshape", "input", graph.constant([-1], np.int64))
    frames = _durations(graph, ids, lengths, graph.add("Gather", "scales", graph.constant(1, np.int64)))
    factor = graph.constant([1.0], np.float32)
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    if speakers:
        factor = graph.add("Add", factor, graph.add("Cast", "sid", to=TensorProto.FLOAT))
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
    sound = _slowed(graph, _sound(graph, ids, frames, (pitches, loudness), factor, hop), ids, passes)
    graph.add("Reshape", sound, graph.constant([1, 1, 1, -1], np.int64), output="output")
    path.parent.mkdir(parents=True, exist_ok=True)
    graph.save(path, inputs, [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])])
    settings = {
        "audio": {"sample_rate": 22050, "quality": "tiny"},
        "espeak": {"voice": "en-us" if language == "en_US" else language.partition("_")[0]},
        "language": {"code": language},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "num_symbols": 256,
        "num_speakers": max(1, len(speakers)),
        "speaker_id_map": {name: number for number, name in enumerate(speakers)},
        "hop_length": hop,
    }
    Path(f"{path}.json").write_text(json.dumps(settings), encoding="utf-8")
    return path


def write_kokoro_model(folder: Path, voices: Sequence[str], *, timed: bool = True, hub_layout: bool = False) -> Path:
    """The model's and the voices' files in ``folder``, which it returns.

    ``hub_layout`` is that of the exports with the model in a folder of its own, and a file for each voice.
    """
    from kokoro_onnx.config import DEFAULT_VOCAB

    graph = _Graph()
    lengths, pitches, loudness, passes = _tables(graph, {sound: [number] for sound, number in DEFAULT_VOCAB.items()})
    tokens = "input_ids" if hub_layout else "tokens"
    ids = graph.add("Reshape", tokens, graph.constant([-1], np.int64))
    frames = _durations(graph, ids, lengths, graph.add("Reciprocal", "speed"))
    factor = graph.add("ReduceMean", "style", keepdims=0)
    sound = _slowed(graph, _sound(graph, ids, frames, (pitches, loudness), factor, 600), ids, passes)
    graph.add("Reshape", sound, graph.constant([-1], np.int64), output="audio")
    outputs = [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])]
    if timed:
        flat = graph.add("Reshape", frames, graph.constant([-1], np.int64))
        graph.add("Cast", flat, output="duration", to=TensorProto.INT64)
        outputs.append(helper.make_tensor_value_info("duration", TensorProto.INT64, ["phonemes"]))
    inputs = [
        helper.make_tensor_value_info(tokens, TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    styles = {name: np.full((510, 1, 256), 1.0 + number / 2, np.float32) for number, name in enumerate(voices)}
    model_folder, voices_folder = (folder / "onnx", folder / "voices") if hub_layout else (folder, folder)
    model_folder.mkdir(parents=True, exist_ok=True)
    voices_folder.mkdir(parents=True, exist_ok=True)
    graph.save(model_folder / ("model.onnx" if hub_layout else "kokoro-v1.0.onnx"), inputs, outputs)
    if hub_layout:
        for name, style in styles.items():
            style.tofile(voices_folder / f"{name}.bin")
    else:
        with (voices_folder / "voices-v1.0.bin").open("wb") as file:
            np.savez(file, allow_pickle=False, **styles)
    return folder
