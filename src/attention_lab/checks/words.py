"""The visible checks' words: what a failure means, and how a call was made."""

from __future__ import annotations

import re

from torch import Tensor

from attention_lab.checks.calls import Call, Failure

# What PyTorch says where a device is asked for that the machine, or the build, does not have
NO_SUCH_GPU = r"not compiled with CUDA|NVIDIA driver|no CUDA-capable|CUDA unknown error|not linked with support for mps"

# ... and where a mask is used that has become numbers
NO_BOOL = r"only supports boolean masks|expected condition to be a boolean|\(operator\.invert\) is only implemented"

# ... and where a tensor is turned into numpy's
NUMPY = r"call numpy\(\) on|unsupported ScalarType BFloat16|numpy\(\) on conj|can't convert .* to numpy"

# ... and what FlexAttention refuses in 12: the text, the problem and where to look
FLEX = (
    (
        r"data-dependent control flow|vmap: It looks like you're calling \.item",
        "your mask function asks a tensor for one truth value",
        "and, or, not, if and item() in the mask function: it gets tensors, which stand for all places at once",
    ),
    (
        r"4 or 5 positional args|requires a mask_mod function",
        "the mask function does not take four places",
        "its parameters: batch, head, query and key, in this order, and no others",
    ),
    (
        r"query, key, and value must be 4D",
        "flex_attention wants four axes",
        "the shapes of q, k and v at the call: packed tokens are a batch of one",
    ),
    (
        r"block_mask was created for",
        "the block mask is made for other lengths than q and k have",
        "the lengths that create_block_mask gets, and the order of the axes of q, k and v at the call",
    ),
    (
        r"out of bounds for dimension 0",
        "the mask function is asked about a place that no token has",
        "the lengths that create_block_mask gets: they need not be multiples of its blocks",
    ),
)

# ---- inputs and words ------------------------------------------------------------------------------------------------


def dtype_name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def sizes_in_words(call: Call) -> str:
    q, arguments = call.arguments["q"], call.arguments
    names = ("batch", "seq") if q.dim() == 3 else ("total_tokens",)
    sizes = [f"{name} {size}" for name, size in zip(names, q.shape, strict=False)]
    if "cache_seqlens" in arguments:
        lengths = arguments["cache_seqlens"].tolist()
        sizes = [f"batch {q.shape[0]}, new {q.shape[1]}, max_len {arguments['k'].shape[1]}, cache_seqlens {lengths}"]
    heads = ("num_heads", "num_kv_heads", "head_dim")
    return ", ".join([*sizes, *(f"{name} {arguments[name]}" for name in heads if name in arguments)])


def counted(number: int, what: str) -> str:
    """``1 token``, ``2 tokens``."""
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def with_article(noun: str) -> str:
    """``a tuple of 2``, ``an ndarray``."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def two_numbers(one: float, other: float) -> tuple[str, str]:
    """Two numbers that differ, with as many digits as it takes to see it."""
    for digits in range(3, 17):
        words = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if len(set(words)) == 2:
            return words
    return repr(one), repr(other)


def at_line(failure: Failure) -> str:
    """The learner's line, as `` (line 7: ...)``; empty where unknown."""
    return f" ({failure.line})" if failure.line else ""


def _how(call: Call) -> str:
    """How the call differs from a plain one, in words; empty for a plain one."""
    arguments = call.arguments
    words = []
    if call.form != "keyword":
        words.append({"positional": "called by position", "without mask": "called without a mask"}[call.form])
    elif "mask" in arguments and arguments["mask"] is None:
        words.append("called with mask=None")
    if call.setting == "math":
        words.append("under SDPA's MATH backend")
    if call.setting == "scaled":
        words.append("while fused kernels give larger numbers")
    if call.layout != "contiguous":
        words.append("with non-contiguous inputs")
    if call.cotangent is not None:
        words.append("with inputs that need gradients")
    return ", ".join(words)


def explain_failure(failure: Failure, call: Call) -> tuple[str, str, str, str]:
    """Problem, detail, hint and code for an exception of the learner's function."""
    how = _how(call)
    detail = (
        f"expected a tensor, got {failure} "
        f"({sizes_in_words(call)}, {dtype_name(call.arguments['q'])}{', ' + how if how else ''})"
    )
    if failure.kind == "NotPerformed":
        got = f"expected a tensor, got none: your code {failure.text}"
        return "your function gave no answer", got, "loops that never end, and calls that end Python", "no-answer"
    if failure.kind == "SystemExit":
        return "your function ends Python", detail, "exit() and sys.exit(): return a tensor instead", "ends-python"
    if failure.is_stub:
        return (
            "your function is not implemented yet",
            "expected a tensor, got the untouched stub",
            "the task above",
            "not-implemented",
        )
    if failure.kind == "TypeError" and "argument" in failure.text and not failure.line:
        return (
            "your function does not take the arguments",
            detail,
            "the signature in the task: names, order, defaults",
            "wrong-signature",
        )
    if re.search(NUMPY, failure.text):
        hint = "numpy in your code: it has no bf16 and no gradients; use PyTorch's own operation there"
        return "numpy cannot take this tensor", detail, hint, "numpy"
    for pattern, problem, hint in FLEX if "document_ids" in call.arguments else ():
        if re.search(pattern, failure.text):
            return problem, detail, hint, "flex-refuses"
    of_flash = ("cu_seqlens", "max_seqlen", "flash_attn_varlen", "FlashAttention", "[total_tokens")
    if any(words in failure.text for words in of_flash):
        return (
            "the flash kernel refuses its arguments",
            detail,
            "its arguments: their order, shapes and dtypes",
            "kernel-refuses",
        )
    if re.search(NO_SUCH_GPU, failure.text):
        hint = 'cuda() and device="cuda" in your code: device=q.device works on any machine'
        return "your function asks for a GPU that is not here", detail, hint, "no-such-gpu"
    if is_device_mismatch(failure.text):
        return (
            "tensors on different devices meet",
            detail,
            "the tensors you create: give them device=q.device",
            "devices-meet",
        )
    if "when is_causal=True" in failure.text:
        hint = "attn_mask and is_causal: the kernel wants one description of who sees whom, not two"
        return "the kernel refuses its arguments", detail, hint, "kernel-refuses"
    if "attn_mask dtype" in failure.text or "for attn_mask" in failure.text:
        hint = "what becomes of the mask: it arrives as bool, and the kernel takes a bool"
        return "the kernel refuses the mask", detail, hint, "kernel-refuses"
    if re.search(NO_BOOL, failure.text):
        hint = "what becomes of the mask on its way: it arrives as bool; is it still one where your line uses it?"
        return "the mask is no longer bool", detail, hint, "mask-not-bool"
    if "dtype" in failure.text.lower() or "scalar type" in failure.text.lower():
        return (
            "tensors of different dtypes meet",
            detail,
            "the tensors you create or convert: give them q's dtype",
            "dtypes-meet",
        )
    if "view size is not compatible" in failure.text:
        hint = "what the view is taken of: after a transpose the numbers no longer lie in order, and view cannot copy"
        return "a view cannot be taken", detail, hint, "no-view"
    if failure.kind == "RuntimeError" and any(word in failure.text for word in ("shape", "size", "view", "expand")):
        return (
            "the shapes do not fit",
            detail,
            "the shapes at each step: print them, compare with the task",
            "shapes-do-not-fit",
        )
    if "in-place" in failure.text:
        return (
            "an input is modified in place",
            detail,
            "operations that end in an underscore, and += *= /= on q, k or v",
            "inputs-modified",
        )
    return "your function raised an error", detail, "the line that the error names", "raised"


def is_device_mismatch(text: str) -> bool:
    """Whether an error says that two devices met; PyTorch has two wordings for it."""
    return "same device" in text or "not on the expected device" in text
