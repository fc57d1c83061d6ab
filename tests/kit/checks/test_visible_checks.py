"""The two visible checks: right functions pass, and what is wrong is said in three lines."""

from __future__ import annotations

import math
import sys

import pytest
import torch
import torch.nn.functional as F

from attention_lab import CheckFailed, check
from attention_lab.notebook.run_cells import load
from attention_lab.variants import VARIANTS
from corpus import CORPUS
from support.answers import RIGHT, right


@pytest.mark.parametrize("name", VARIANTS)
def test_right_functions_pass_both_visible_checks(name, capsys):
    source = next(answer.source for answer in CORPUS if answer.variant == name and answer.right)
    _, function = load([{"id": "file", "source": source}], VARIANTS[name].function_name, "__main__")
    for which in ("contract", "invariants"):
        check(name, which, function)
    assert capsys.readouterr().out.count("passed: ") >= 8


@pytest.mark.parametrize(
    ("used", "judged", "case"),
    [
        ("eager_bidirectional", "eager_causal", "causal"),
        ("eager_causal", "eager_bidirectional", "a visible key matters"),
        ("flash_bidirectional", "flash_causal", "causal"),
        ("flash_causal", "flash_bidirectional", "a visible key matters"),
    ],
)
def test_wrong_causality_fails_the_invariants(used, judged, case):
    with pytest.raises(CheckFailed) as failed:
        check(judged, "invariants", right(used))
    assert failed.value.case.startswith(case)


@pytest.mark.parametrize("name", ["eager_bidirectional", "sdpa_causal"])
def test_ignored_mask_fails_the_invariants(name):
    function = right(name)
    with pytest.raises(CheckFailed, match="masked keys and values changed"):
        check(name, "invariants", lambda **given: function(**(given | {"mask": None})))


def broken(change):
    function = right("eager_causal")

    def wrong(q, k, v, num_heads, head_dim, mask=None):
        return change(function(q, k, v, num_heads, head_dim, mask), q, mask)

    return wrong


@pytest.mark.parametrize(
    ("which", "change", "words"),
    [
        ("contract", lambda out, q, mask: None, "returned None"),
        ("contract", lambda out, q, mask: (out, out), "returned a tuple of 2"),
        ("contract", lambda out, q, mask: out.flatten(1), "wrong shape"),
        ("contract", lambda out, q, mask: out.float(), "wrong dtype"),
        ("contract", lambda out, q, mask: out + torch.zeros(1, 1, 1, device="cpu") if q.is_meta else out, "device"),
        ("contract", lambda out, q, mask: out * (1 / len(mask) > 0), "TypeError"),
        ("invariants", lambda out, q, mask: out * 0, "did not change"),
        ("invariants", lambda out, q, mask: out * float("nan"), "not finite"),
        ("invariants", lambda out, q, mask: (q.mul_(2), out)[1], "modified its input q"),
        ("invariants", lambda out, q, mask: (mask.logical_not_(), out)[1], "modified its input mask"),
    ],
)
def test_what_is_wrong_is_said(which, change, words):
    with pytest.raises(CheckFailed) as failed:
        check("eager_causal", which, broken(change))
    assert words in str(failed.value)
    assert len(str(failed.value).split("\n")) == 3


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.masked])
def test_heads_cut_across_tokens_are_found_under_their_own_name(name):
    function = right(name)

    def wrong(**given):
        # [batch, seq, hidden_dim] read as [batch, num_heads, seq, head_dim]
        for x, tensor in ((x, given[x]) for x in "qkv"):
            heads = tensor.reshape(len(tensor), tensor.shape[-1] // given["head_dim"], -1, given["head_dim"])
            given[x] = heads.transpose(1, 2).reshape(tensor.shape)
        return function(**given)

    with pytest.raises(CheckFailed, match=r"\[one query at a time\] .* changed when q of token 1 changed"):
        check(name, "invariants", wrong)


@pytest.mark.parametrize(
    "call",
    [
        lambda kernel, q, c, m: kernel(q, q, q, c, m),
        lambda kernel, q, c, m: kernel(q, q, q, c, m, c, m),
        lambda kernel, q, c, m: kernel(*[q.transpose(0, 1)] * 3, c, c, m, m),
    ],
)
def test_what_the_flash_kernel_refuses_is_said_to_be_its_arguments(call):
    from attention_lab.flash.stand_in import flash_attn_varlen_stand_in

    def wrong(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
        return call(flash_attn_varlen_stand_in, q.unflatten(-1, (num_heads, head_dim)), cu_seqlens, max_seqlen)

    with pytest.raises(CheckFailed, match="the flash kernel refuses its arguments"):
        check("flash_causal", "contract", wrong)


SHORT_OF_ARGUMENTS = """
def flash_causal_attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    return flash_attn_varlen_func(q, k, v, cu_seqlens)
"""


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("eager_causal", RIGHT.replace("q.device", '"cpu"'), "got a tensor on another device (line "),
        (
            "eager_causal",
            RIGHT.replace("return", "return torch.zeros(len(q), 6, 24, dtype=q.dtype) #"),
            "device of q, got cpu",
        ),
        ("flash_causal", SHORT_OF_ARGUMENTS, "flash_attn_varlen_func() missing"),
    ],
)
def test_inner_words_do_not_reach_learners(name, source, words):
    """Neither the device that stands for another one, nor the name of what stands for flash-attn."""
    _, function = load([{"id": "file", "source": source}], VARIANTS[name].function_name, "__main__")
    with pytest.raises(CheckFailed) as failed:
        check(name, "contract", function)
    assert words in str(failed.value)
    assert not [word for word in ("meta", "stand_in") if word in str(failed.value)]


@pytest.mark.parametrize(
    "line",
    [
        "s.masked_fill(mask[:, None, None].int(), -9e9)",
        "torch.where(mask[:, None, None].long(), s, -9e9)",
        "s.masked_fill(~mask[:, None, None].float(), -9e9)",
    ],
)
def test_mask_that_became_numbers_is_not_sent_to_the_dtype_of_q(line):
    namespace = {"torch": torch, "math": math}
    source = (
        f"    {SPLIT}\n    s = q @ k.mT\n    if mask is not None:\n        s = {line}\n    return (s.softmax(-1) @ v)"
    )
    exec(f"def f(q, k, v, num_heads, head_dim, mask=None):\n{source}", namespace)
    with pytest.raises(CheckFailed, match="the mask is no longer bool") as failed:
        check("eager_bidirectional", "contract", namespace["f"])
    assert "q's dtype" not in str(failed.value)


def test_missing_argument_of_a_flash_function_is_its_own_fault():
    with pytest.raises(CheckFailed, match="does not take the arguments"):
        check("flash_causal", "contract", lambda q, k, v, num_heads, head_dim, cu_seqlens: q)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_missing_gpu_is_said(device):
    function = right("eager_causal")
    with pytest.raises(
        CheckFailed, match=r"asks for a GPU that is not here\n.*\n.*device=q\.device works on any machine"
    ):
        check("eager_causal", "contract", lambda q, *rest, **named: function(q.to(device), *rest, **named))


def test_missing_default_of_the_mask_is_said():
    function = right("eager_causal")
    with pytest.raises(CheckFailed, match="does not take the arguments"):
        check(
            "eager_causal",
            "contract",
            lambda q, k, v, num_heads, head_dim, mask: function(q, k, v, num_heads, head_dim, mask),
        )


SPLIT = "q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))"
VISIBLY_WRONG = {
    "heads never split": (
        "eager_bidirectional",
        "return (q @ k.mT / math.sqrt(head_dim)).softmax(-1) @ v",
        r"\[one query at a time\]",
    ),
    "softmax over the queries": (
        "eager_bidirectional",
        f"{SPLIT}\n    weights = (q @ k.mT / math.sqrt(head_dim)).softmax(-2)\n"
        "    return (weights @ v).transpose(1, 2).flatten(2)",
        "axis",
    ),
    "triangle without its diagonal": (
        "eager_causal",
        f"{SPLIT}\n    scores = q @ k.mT / math.sqrt(head_dim)\n"
        "    seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril(-1)\n"
        "    if mask is not None:\n        seen = seen & mask[:, None, None]\n"
        "    weights = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1)\n"
        "    return (weights @ v).transpose(1, 2).flatten(2)",
        r"\[causal\]",
    ),
    "masked keys and values zeroed": (
        "eager_bidirectional",
        "if mask is not None:\n        k, v = k * mask[..., None], v * mask[..., None]\n"
        f"    {SPLIT}\n    weights = (q @ k.mT / math.sqrt(head_dim)).softmax(-1)\n"
        "    return (weights @ v).transpose(1, 2).flatten(2)",
        r"\[values of ones\]",
    ),
    "mask on pairs of tokens": (
        "eager_bidirectional",
        f"{SPLIT}\n    scores = q @ k.mT / math.sqrt(head_dim)\n    if mask is not None:\n"
        "        scores = scores.masked_fill(~(mask[:, None, :, None] & mask[:, None, None]), -math.inf)\n"
        "    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)",
        r"\[rows that see no key\] the output is not finite",
    ),
    "no scale, and rows of NaN": (
        "eager_bidirectional",
        f"{SPLIT}\n    scores = q @ k.mT\n    if mask is not None:\n"
        "        scores = scores.masked_fill(~mask[:, None, None], -math.inf)\n"
        "    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)",
        r"\[four times the head_dim\]",
    ),
    "int mask for SDPA": (
        "sdpa_bidirectional",
        f"{SPLIT}\n    seen = None if mask is None else mask[:, None, None].int()\n"
        "    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(2)",
        "the kernel refuses the mask",
    ),
}


@pytest.mark.parametrize("case", VISIBLY_WRONG)
def test_visible_checks_name_what_is_wrong(case):
    name, body, words = VISIBLY_WRONG[case]
    namespace = {"torch": torch, "math": math, "F": F}
    exec(f"def function(q, k, v, num_heads, head_dim, mask=None):\n    {body}", namespace)

    def both() -> None:
        for check_name in ("contract", "invariants"):
            check(name, check_name, namespace["function"])

    with pytest.raises(CheckFailed, match=words):
        both()


def test_what_is_not_finite_is_said_with_its_dtype():
    function = right("eager_causal")

    def overflows(q, *rest, **named):
        output = function(q, *rest, **named)
        return output + math.inf if output.dtype == torch.float16 else output

    with pytest.raises(CheckFailed, match=r"got infinite in 288 of 288 places \(first: .*; float16\)"):
        check("eager_causal", "invariants", overflows)


def test_traceback_is_a_list_of_three_lines():
    failed = CheckFailed("case", "problem", "detail", "hint", "a-code")
    assert failed._render_traceback_() == ["[case] problem", "detail", "look at hint"]


def test_checks_write_nothing_to_stderr(capfd):
    import warnings

    def noisy(**arguments):
        warnings.warn("noise", stacklevel=1)
        print("noise", file=sys.stderr)
        return right("eager_causal")(**arguments)

    check("eager_causal", "invariants", noisy)
    assert capfd.readouterr().err == ""
