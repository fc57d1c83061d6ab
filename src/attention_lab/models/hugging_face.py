"""The learner's functions in other people's models, through the door that Hugging Face transformers keeps for it.

``AttentionInterface`` takes an attention function under a name, and a model is told to use it; the model's own code
does the rest. The models here are small and untrained: the layers are GPT-2's, Llama's and ModernBERT's, the numbers
are random.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    ModernBertConfig,
    ModernBertModel,
)

from attention_lab.inputs import borders_as, unpack
from attention_lab.models.agreement import Chosen
from attention_lab.models.self_attention import PACKED_DTYPE, AttentionFunction
from attention_lab.models.token_batch import TokenBatch, packed_tokens, padded_tokens
from attention_lab.variants import Inputs

Device = torch.device | str
NAME = "attention-lab"  # under which a function is known to transformers

WORDS, HIDDEN_DIM, HEADS, LAYERS = 100, 64, 4, 3
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


class TheirModel:
    """One of transformers' models, with the attention of our choice.

    Args:
        model: Without a head: it gives hidden states.
        causal: Whether query i sees only keys j <= i.
    """

    def __init__(self, model: Any, causal: bool, device: Device = "cpu"):
        self.model, self.causal = model.eval().requires_grad_(False).to(device), causal

    def __call__(self, batch: TokenBatch, attention: AttentionFunction | None) -> Tensor:
        """Hidden states, ``[batch, seq, hidden_dim]`` or ``[total_tokens, hidden_dim]``.

        The model itself always takes a padded batch; a packed function's tokens are packed before each call of it, as
        transformers does for FlashAttention.
        """
        use(self.model, attention, batch.inputs)
        ids = unpack(batch.ids, batch.mask) if batch.packed else batch.ids
        hidden: Tensor = self.model(input_ids=ids, attention_mask=batch.mask.long()).last_hidden_state
        return hidden[batch.mask] if batch.packed else hidden

    def padded(self, texts: Sequence[Sequence[int]]) -> TokenBatch:
        """Token ids as a padded batch."""
        return padded_tokens(texts, device=self.model.device)

    def packed(self, texts: Sequence[Sequence[int]]) -> TokenBatch:
        """Token ids as a packed batch."""
        return packed_tokens(texts, device=self.model.device)


def gpt2(device: Device = "cpu") -> TheirModel:
    """A small GPT-2 of random numbers: causal, with learned places."""
    torch.manual_seed(0)
    sizes = {"n_embd": HIDDEN_DIM, "n_head": HEADS, "n_layer": LAYERS, "n_positions": 64}
    return TheirModel(GPT2Model(GPT2Config(vocab_size=WORDS, **sizes, **ENDS)), causal=True, device=device)


def llama(device: Device = "cpu") -> TheirModel:
    """A small Llama of random numbers: causal, places by rotating queries and keys; each query head has a key head."""
    torch.manual_seed(0)
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": HEADS}
    sizes = {"hidden_size": HIDDEN_DIM, "intermediate_size": 2 * HIDDEN_DIM, "num_hidden_layers": LAYERS}
    return TheirModel(LlamaModel(LlamaConfig(vocab_size=WORDS, **heads, **sizes, **ENDS)), causal=True, device=device)


def modernbert(device: Device = "cpu") -> TheirModel:
    """A small ModernBERT of random numbers: bidirectional.

    Two of three layers see 64 tokens to each side and no more. In shorter texts that is all of them.
    """
    torch.manual_seed(0)
    sizes = {"hidden_size": HIDDEN_DIM, "intermediate_size": 2 * HIDDEN_DIM, "num_hidden_layers": LAYERS}
    ends = ENDS | {"cls_token_id": 1, "sep_token_id": 2}
    config = ModernBertConfig(vocab_size=WORDS, num_attention_heads=HEADS, **sizes, **ends)
    return TheirModel(ModernBertModel(config), causal=False, device=device)


def random_texts(lengths: Sequence[int]) -> list[list[int]]:
    """Random token ids for the models above."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, WORDS, (length,), generator=generator).tolist() for length in lengths]


def use(model: Any, attention: AttentionFunction | None, inputs: Inputs) -> None:
    """Tell one of transformers' models which attention function to use.

    Args:
        model: Any model of transformers that goes through ``AttentionInterface``.
        attention: A function of this course; ``None`` for PyTorch's SDPA as transformers calls it.
        inputs: The kind of inputs that the function takes.
    """
    if attention is not None:
        AttentionInterface.register(NAME, _theirs(attention, inputs))
        AttentionMaskInterface.register(NAME, _only_padding)
    model.set_attn_implementation("sdpa" if attention is None else NAME)


def next_words(name: str, text: str, chosen: Chosen, best: int = 5, device: Device = "cpu") -> str:
    """What a trained causal model of transformers expects next.

    Args:
        name: On the Hugging Face hub, such as ``"gpt2"``, or a folder. What is not on this machine is downloaded.
        text: How it begins.
        chosen: The attention.
        best: How many guesses to show.
        device: Where the model runs: flash-attn's kernels want a GPU where there is one.

    Returns:
        A line a guess, with its probability.
    """
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModelForCausalLM.from_pretrained(name).eval().to(device)
    use(model, chosen.function, "packed" if chosen.packed else "padded")
    tokens = tokenizer(text, return_tensors="pt").to(device)
    with torch.no_grad():
        scores = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], use_cache=False).logits[
            0, -1
        ]
    chances, ids = scores.float().softmax(dim=-1).topk(best)
    guesses = zip(chances.tolist(), ids.tolist(), strict=True)
    return "\n".join(f"{chance:.3f} {tokenizer.decode([number])!r}" for chance, number in guesses)


def _only_padding(attention_mask: Tensor | None = None, **_: Any) -> Tensor | None:
    """The mask that our functions get: which tokens are real, ``[batch, seq]``; causality is their own affair."""
    return attention_mask


def _theirs(function: AttentionFunction, inputs: Inputs) -> Callable[..., tuple[Tensor, None]]:
    """A function of this course in the form that transformers calls."""

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        sliding_window: int | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        num_heads, head_dim = query.shape[1], query.shape[3]
        _require_fitting(query, key, scaling, sliding_window)
        # [batch, num_heads, seq, head_dim] -> [batch, seq, hidden_dim]
        q, k, v = (x.transpose(1, 2).flatten(-2) for x in (query, key, value))
        sizes = {"num_heads": num_heads, "head_dim": head_dim}
        mask = None if attention_mask is None else attention_mask.bool()
        if inputs == "padded":
            output = function(q=q, k=k, v=v, **sizes, mask=mask)
        else:
            real = torch.ones(q.shape[:2], dtype=torch.bool, device=q.device) if mask is None else mask
            borders = borders_as(inputs, real.sum(dim=1).tolist(), q.device)
            q, k, v = (x[real].to(PACKED_DTYPE) for x in (q, k, v))  # [total_tokens, hidden_dim]
            result = function(q=q, k=k, v=v, **sizes, **borders)
            output = unpack(result, real)
        return output.to(query.dtype).unflatten(-1, (num_heads, head_dim)), None

    return attend


def _require_fitting(query: Tensor, key: Tensor, scaling: float | None, sliding_window: int | None) -> None:
    """Refuse what the functions of part one do not know, so that no wrong number comes out silently."""
    num_heads, seq, head_dim = query.shape[1:]
    if key.shape[1] != num_heads:
        raise ValueError(
            f"this model has {num_heads} query heads and {key.shape[1]} key heads; these functions want as many of both"
        )
    if key.shape[2] != seq:
        raise ValueError("these functions take as many keys as queries; call the model with use_cache=False")
    if sliding_window is not None and seq > sliding_window:
        raise ValueError(f"this layer sees a window of {sliding_window} tokens, and the text has {seq}; shorten it")
    if scaling is not None and not math.isclose(scaling, head_dim**-0.5, rel_tol=1e-6):
        raise ValueError(f"this layer scales by {scaling:.3g}, not by 1/√head_dim = {head_dim**-0.5:.3g}")
