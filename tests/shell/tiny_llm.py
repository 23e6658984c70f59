"""Language models with random weights, made with the libraries' own classes, in the files that real ones are kept in.

They write nonsense, in ASCII and without an end, which is enough: what is tested is what they read, and that it is the
same as what they would read anew.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from transformers.utils import logging as transformers_logging

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta

transformers_logging.disable_progress_bar()
torch.set_num_threads(1)  # several wait longer for each other than so small a model takes

MOST_TOKENS = 4096
BEGIN, END = "<|im_start|>", "<|im_end|>"
TEMPLATE = """\
{%- set told = messages[0].content if messages[0].role == 'system' else '' %}\
{%- if told or tools %}{{ '<|im_start|>system\\n' + told }}\
{%- for tool in tools or [] %}{{ '\\n' + tool | tojson }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}\
{%- for message in messages %}{% if message.role != 'system' or not loop.first %}\
{{- '<|im_start|>' + message.role + '\\n' + message.content }}\
{%- for call in message.tool_calls or [] %}\
{{- '<tool_call>\\n' + call.function | tojson + '\\n</tool_call>' }}{% endfor %}\
{{- '<|im_end|>\\n' }}{% endif %}{% endfor %}\
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
_TEXT = (
    "the rain in spain stays mainly in the plain and what is the weather like today in paris or in rome "
    "tell me more about the history of the city please i would like to know how old it is and who lives there now"
)
WORDS = _TEXT.split()


def write_model(folder: Path, family: str = "qwen3", *, seed: int = 1, template: str | None = TEMPLATE) -> Path:
    """The files of a model in ``folder``, which it returns; ``family`` is qwen3 or llama."""
    tokenizer = make_tokenizer(template)
    tokenizer.save_pretrained(folder)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": MOST_TOKENS,
        "initializer_range": 0.5,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids(END),
    }
    torch.manual_seed(seed)
    model: Any = Qwen3ForCausalLM(Qwen3Config(**sizes)) if family == "qwen3" else LlamaForCausalLM(LlamaConfig(**sizes))
    with torch.no_grad():
        for token in range(len(tokenizer)):
            if not tokenizer.decode([token]).strip().isascii() or token in tokenizer.all_special_ids:
                model.lm_head.weight[token] = 0.0  # never the likeliest: what it writes is text, and finds no end
    model.save_pretrained(folder)
    return folder


def make_tokenizer(template: str | None) -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([f"system user assistant\n{_TEXT}"] * 4, trainer)
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in (BEGIN, END)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, additional_special_tokens=[BEGIN], clean_up_tokenization_spaces=False
    )
    fast.chat_template = template
    return fast


WEATHER = Tool("get_weather", "The weather in a city", {"type": "object", "properties": {"city": {"type": "string"}}})


def request(*said: str, tools: tuple[Tool, ...] = (), tool_choice: str = "auto", most: int | None = 12) -> BrainRequest:
    """System, user, assistant, user and so on, with these texts; an empty first one is no system message."""
    roles = ["system", *(["user", "assistant"] * len(said))]
    messages = tuple(Message(role, text) for role, text in zip(roles, said, strict=False) if text)
    return BrainRequest(messages, tools, tool_choice, most)


async def text_of(answer: AsyncGenerator[BrainDelta]) -> tuple[str, Finish]:
    """The whole text of an answer, and its end."""
    deltas = [delta async for delta in answer]
    finish = deltas[-1]
    assert isinstance(finish, Finish)
    assert not any(isinstance(delta, Finish) for delta in deltas[:-1])
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), finish
