"""A CSM with random weights, and adapters for it, made with the libraries' own classes in the files of real ones."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CsmConfig,
    CsmDepthDecoderConfig,
    CsmForConditionalGeneration,
    CsmProcessor,
    EncodecFeatureExtractor,
    MimiConfig,
    MimiModel,
    PreTrainedTokenizerFast,
)

torch.set_num_threads(1)  # several wait longer for each other than so small a model takes

CODEBOOKS = 4
CODES = 64
_VOCABULARY = CODES + 3
_MARKS = ("<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>")


def _transformer(**sizes: Any) -> dict[str, Any]:
    common = {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return {"hidden_size": 32} | common | sizes


def make_codec(**other: Any) -> Any:
    """A Mimi whose codes all sound different: the library begins with codebooks of zeros."""
    config = MimiConfig(
        **_transformer(num_key_value_heads=4),
        num_filters=2,
        codebook_size=CODES,
        codebook_dim=16,
        vector_quantization_hidden_dimension=16,
        num_quantizers=CODEBOOKS,
        upsample_groups=32,
        sliding_window=20,
        initializer_range=0.22,
        **other,
    )
    codec: Any = MimiModel(config).eval()
    for name, buffer in codec.named_buffers():
        if name.endswith("embed_sum"):
            buffer.normal_()
    return codec


def csm_config() -> Any:
    depth = CsmDepthDecoderConfig(
        **_transformer(),
        num_codebooks=CODEBOOKS,
        backbone_hidden_size=32,
        vocab_size=_VOCABULARY,
        max_position_embeddings=8,
    )
    return CsmConfig(
        **_transformer(),
        num_codebooks=CODEBOOKS,
        vocab_size=_VOCABULARY,
        text_vocab_size=300,
        max_position_embeddings=2048,
        codebook_pad_token_id=_VOCABULARY - 1,
        codebook_eos_token_id=0,
        bos_token_id=256,
        pad_token_id=258,
        audio_token_id=258,
        audio_eos_token_id=259,
        initializer_range=0.5,
        depth_decoder_config=depth.to_dict(),
        codec_config=make_codec().config.to_dict(),
    )


def write_csm_model(folder: Path) -> Path:
    """The files of a model in ``folder``, which it returns. It takes the likeliest code each time, and finds no end."""
    torch.manual_seed(2)
    model: Any = CsmForConditionalGeneration(csm_config())
    model.codec_model = make_codec()
    model.save_pretrained(folder)
    _processor().save_pretrained(folder)
    return folder


def write_lora(folder: Path, seed: int) -> Path:
    """An adapter in ``folder``, as peft writes it, which it returns."""
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, about itself
        adapted: Any = get_peft_model(CsmForConditionalGeneration(csm_config()), config)
    adapted.save_pretrained(folder)
    return folder


def _processor() -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    begin, end, audio, audio_end = _MARKS
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=begin, eos_token=end, pad_token=audio, extra_special_tokens=[audio_end]
    )
    return CsmProcessor(EncodecFeatureExtractor(sampling_rate=24000), fast)
