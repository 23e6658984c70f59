"""A CosyVoice 2 with random weights, made with the library's own classes, in the files of the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx.parser
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from antiphon.engines.cosyvoice_model import SETTINGS, SPEAKERS, TOKENIZER, import_library, speaking_parts

torch.set_num_threads(1)  # several wait longer for each other than so small a model takes

CODES = 128
_SETTINGS = """
__set_seed: !apply:no_such_package.seed [1986]
sample_rate: 24000
spk_embed_dim: 192
qwen_pretrain_path: ''
token_frame_rate: 25
token_mel_ratio: 2
llm: !new:cosyvoice.llm.llm.Qwen2LM
    llm_input_size: 32
    llm_output_size: 32
    speech_token_size: 128
    mix_ratio: [5, 15]
    llm: !new:cosyvoice.llm.llm.Qwen2Encoder
        pretrain_path: !ref <qwen_pretrain_path>
    sampling: !name:cosyvoice.utils.common.ras_sampling
        top_p: 0.8
        top_k: 1
        win_size: 10
        tau_r: 100
flow: !new:cosyvoice.flow.flow.CausalMaskedDiffWithXvec
    input_size: 512
    output_size: 80
    spk_embed_dim: !ref <spk_embed_dim>
    vocab_size: 128
    input_frame_rate: !ref <token_frame_rate>
    token_mel_ratio: !ref <token_mel_ratio>
    pre_lookahead_len: 3
    encoder: !new:cosyvoice.transformer.upsample_encoder.UpsampleConformerEncoder
        output_size: 512
        attention_heads: 2
        linear_units: 32
        num_blocks: 1
        normalize_before: True
        input_layer: 'linear'
        pos_enc_layer_type: 'rel_pos_espnet'
        selfattention_layer_type: 'rel_selfattn'
        input_size: 512
        use_cnn_module: False
        macaron_style: False
        static_chunk_size: !ref <token_frame_rate>
    decoder: !new:cosyvoice.flow.flow_matching.CausalConditionalCFM
        in_channels: 240
        n_spks: 1
        spk_emb_dim: 80
        cfm_params: !new:omegaconf.DictConfig
            content: {sigma_min: 1e-06, solver: euler, t_scheduler: cosine, training_cfg_rate: 0.2,
                      inference_cfg_rate: 0.7, reg_loss_type: l1}
        estimator: !new:cosyvoice.flow.decoder.CausalConditionalDecoder
            in_channels: 320
            out_channels: 80
            channels: [16]
            attention_head_dim: 8
            n_blocks: 1
            num_mid_blocks: 1
            num_heads: 2
            act_fn: 'gelu'
            static_chunk_size: !ref <token_frame_rate> * <token_mel_ratio>
            num_decoding_left_chunks: -1
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    in_channels: 80
    base_channels: 16
    nb_harmonics: 0
    sampling_rate: !ref <sample_rate>
    nsf_sigma: 0
    nsf_voiced_threshold: -1
    upsample_rates: [8, 5, 3]
    upsample_kernel_sizes: [16, 11, 7]
    istft_params: {n_fft: 16, hop_len: 4}
    resblock_kernel_sizes: [3]
    resblock_dilation_sizes: [[1, 3, 5]]
    source_resblock_kernel_sizes: [7, 7, 11]
    source_resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        in_channels: 80
        cond_channels: 8
hifigan: !new:no_such_package.Gan
    generator: !ref <hift>
get_tokenizer: !name:cosyvoice.tokenizer.tokenizer.get_qwen_tokenizer
    token_path: !ref <qwen_pretrain_path>
    skip_special_tokens: True
tokenize: !name:no_such_package.tokenize
    get_tokenizer: !ref <get_tokenizer>
feat_extractor: !name:matcha.utils.audio.mel_spectrogram
    n_fft: 1920
    num_mels: 80
    sampling_rate: !ref <sample_rate>
    hop_size: 480
    win_size: 1920
    fmin: 0
    fmax: 8000
    center: False
"""
"""As the published file, with small sizes and nothing drawn at random; what is for training cannot be had."""
_SPEECH_TOKENIZER = """
<ir_version: 9, opset_import: ["": 17]>
tokenizer (float[1, 128, frames] feats, int32[1] feats_length) => (int32[1, tokens] indices) {
    slow = AveragePool<kernel_shape = [4], strides = [4]>(feats)
    loudest = ArgMax<axis = 1, keepdims = 0>(slow)
    indices = Cast<to = 6>(loudest)
}
"""
"""25 tokens a second: which band is the loudest."""
_CAMPPLUS = """
<ir_version: 9, opset_import: ["": 17]>
campplus (float[1, frames, 80] input) => (float[1, 192] output)
<int64[1] first = {0}, int64[1] end = {192}, int64[1] axis = {1}> {
    most = ReduceMax<axes = [1], keepdims = 0>(input)
    more = Concat<axis = 1>(most, most, most)
    output = Slice(more, first, end, axis)
}
"""


def write_cosyvoice_model(folder: Path, saved: tuple[str, ...] = ("Ana", "Bo")) -> Path:
    """The files of a model in ``folder``, which it returns. It finds no end, and takes the likeliest token."""
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    import_library()
    _write_language_model(folder / TOKENIZER)
    (folder / SETTINGS).write_text(_SETTINGS)
    for name, text in (("speech_tokenizer_v2", _SPEECH_TOKENIZER), ("campplus", _CAMPPLUS)):
        onnx.save(onnx.parser.parse_model(text), str(folder / f"{name}.onnx"))
    parts = speaking_parts(folder)
    with torch.no_grad():
        parts["llm"].llm_decoder.weight.mul_(20)
        parts["llm"].llm_decoder.bias[CODES:] = -1e4  # the end, and two that ask for more text
        parts["hift"].f0_predictor.classifier.bias.add_(200)
    for name in ("llm", "flow", "hift"):
        torch.save(parts[name].state_dict(), folder / f"{name}.pt")
    torch.save({name: _speaker(number) for number, name in enumerate(saved)}, folder / SPEAKERS)
    return folder


def _speaker(number: int) -> dict[str, Any]:
    """As the library saves it."""
    heard = torch.arange(10, dtype=torch.int32)[None] * (number + 1)
    speaker = torch.randn(1, 192)
    return {
        "prompt_text": torch.tensor([[5, 6, 7 + number]], dtype=torch.int32),
        "prompt_text_len": torch.tensor([3], dtype=torch.int32),
        "llm_prompt_speech_token": heard,
        "flow_prompt_speech_token": heard,
        "prompt_speech_feat": torch.randn(1, 20, 80),
        "llm_embedding": speaker,
        "flow_embedding": speaker,
    }


def _write_language_model(folder: Path) -> None:
    config = Qwen2Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)  # as it is published
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
