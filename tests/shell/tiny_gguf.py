"""The models of ``tiny_llm`` as GGUF, as llama.cpp reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_gguf(model: Path, file: Path) -> Path:
    """Writes the model in that folder, as ``write_model`` made it, into a file, which it returns."""
    config = json.loads((model / "config.json").read_text())
    family = config["model_type"]
    writer = gguf.GGUFWriter(file, family)
    writer.add_name("tiny")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base((config.get("rope_parameters") or {}).get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_vocabulary(writer, model, config)
    for name, values in load_file(model / "model.safetensors").items():
        _add_tensor(writer, name.removesuffix(".weight"), np.ascontiguousarray(values), config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_vocabulary(writer: Any, model: Path, config: dict[str, Any]) -> None:
    made = json.loads((model / "tokenizer.json").read_text())
    known = made["model"]["vocab"] | {token["content"]: token["id"] for token in made["added_tokens"]}
    marks = {token["content"] for token in made["added_tokens"]}
    tokens = sorted(known, key=lambda token: int(known[token]))
    types = [gguf.TokenType.CONTROL if token in marks else gguf.TokenType.NORMAL for token in tokens]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(merge) for merge in made["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)
    template = model / "chat_template.jinja"
    if template.exists():
        writer.add_chat_template(template.read_text())


def _add_tensor(writer: Any, name: str, values: NDArray[np.float32], config: dict[str, Any]) -> None:
    if name in _OUTSIDE:
        writer.add_tensor(f"{_OUTSIDE[name]}.weight", values)
        return
    _, _, layer, part = name.split(".", 3)
    if config["model_type"] == "llama" and part.endswith(("q_proj", "k_proj")):
        values = _interleaved(values, config["head_dim"])
    writer.add_tensor(f"blk.{layer}.{_NAMES[part]}.weight", values)


def _interleaved(values: NDArray[np.float32], head_dim: int) -> NDArray[np.float32]:
    """llama.cpp turns neighbouring values of a head together, transformers those half a head apart."""
    heads = values.reshape(-1, 2, head_dim // 2, values.shape[-1])
    return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(values.shape)
