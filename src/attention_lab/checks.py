"""The two visible checks of every notebook. They know no answers: they ask what any attention must do.

``contract``: shape, dtype, device and call forms. ``invariants``: what may be seen changes the output, what is masked
does not, and nobody's inputs are modified.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attention_lab.calls import Call, Failure, Outcome, perform_on
from attention_lab.flash import flash_route
from attention_lab.inputs import running_sum
from attention_lab.variants import Variant, get_variant

VISIBLE_CHECKS = ("contract", "invariants")

# What PyTorch says where a device is asked for that the machine, or the build, does not have
NO_SUCH_GPU = r"not compiled with CUDA|NVIDIA driver|no CUDA-capable|CUDA unknown error|not linked with support for mps"


class CheckFailed(AssertionError):
    """A check that did not pass, in three lines.

    Args:
        case: Which case, such as ``causal``.
        problem: What went wrong.
        detail: What was expected, what came, where and how far off.
        hint: Where to look; never the answer.
    """

    def __init__(self, case: str, problem: str, detail: str, hint: str):
        super().__init__(case, problem, detail, hint)
        self.case, self.problem, self.detail, self.hint = case, problem, detail, hint

    def __str__(self) -> str:
        return f"[{self.case}] {self.problem}\n{self.detail}\nlook at {self.hint}"

    def _render_traceback_(self) -> list[str]:
        # IPython shows these lines instead of a traceback; it wants a list of strings
        return str(self).split("\n")


@dataclass(frozen=True)
class Case:
    """A group of calls and the question asked of their outcomes.

    Attributes:
        check: Name of the check that it belongs to.
        name: Its own name, as printed.
        calls: What to call.
        verify: Looks at the outcomes, one a call; raises ``CheckFailed``.
    """

    check: str
    name: str
    calls: tuple[Call, ...]
    verify: Callable[[Sequence[Outcome]], None]


def check(variant: str | Variant, name: str, function: Callable[..., Any]) -> None:
    """Run one visible check on your function: print a line for each case that passes, raise at the first that fails.

    Args:
        variant: Which of the six, such as ``"eager_causal"``.
        name: ``"contract"`` or ``"invariants"``.
        function: Your function.

    Raises:
        CheckFailed: Something is wrong; three lines say what, how far off, and where to look.
        ValueError: There is no such variant or check.
    """
    if name not in VISIBLE_CHECKS:
        raise ValueError(f"unknown check {name!r}; choose one of {', '.join(VISIBLE_CHECKS)}")
    variant = get_variant(variant)
    device = checked_on(variant)
    for case in visible_cases(variant):
        if case.check == name:
            case.verify([perform_on(device, function, call) for call in case.calls])
            print(f"passed: {case.name}")


def checked_on(variant: Variant) -> str:
    """The device that a function is checked on: the CPU, or the GPU where its flash kernel runs nowhere else."""
    return flash_route().device if variant.packed else "cpu"


def visible_cases(variant: Variant) -> list[Case]:
    """The cases of both visible checks, in order."""
    return [*_contract_cases(variant), *_invariant_cases(variant)]


def require_result(case: str, call: Call, outcome: Outcome) -> Tensor:
    """The output, once it is known to be a tensor of the right shape and dtype.

    Raises:
        CheckFailed: The function raised, or returned something else.
    """
    q: Tensor = call.arguments["q"]
    if outcome.failure is not None:
        raise CheckFailed(case, *_explain_failure(outcome.failure, call))
    if outcome.returned != "tensor":
        hint = "your return statement: is there one, at the end of the function?"
        if outcome.returned.startswith("tuple"):
            hint = "your return statement: return the output alone, without the weights"
        raise CheckFailed(case, f"your function returned {outcome.returned}", "expected one tensor", hint)
    if outcome.shape != tuple(q.shape):
        raise CheckFailed(
            case,
            "the output has the wrong shape",
            f"expected {list(q.shape)}, got {list(outcome.shape or ())} ({_sizes(call)})",
            "the last step: bring the heads back together, so that the output has the shape of q",
        )
    if outcome.dtype != _dtype(q):
        raise CheckFailed(
            case,
            "the output has the wrong dtype",
            f"expected {_dtype(q)} as in q, got {outcome.dtype}",
            "the tensors you create or convert: give them q's dtype, or convert the output back",
        )
    expected_device = "meta" if call.setting == "meta" else q.device.type
    if outcome.device != expected_device:
        raise CheckFailed(
            case,
            "the output is on the wrong device",
            f"expected {expected_device} as q, got {outcome.device}",
            "the tensors you create: give them device=q.device",
        )
    return outcome.output if outcome.output is not None else q.to("meta")


def require_finite(case: str, call: Call, output: Tensor, what: str = "the output") -> None:
    """Fail on NaN or infinity, and say where they begin."""
    bad = ~torch.isfinite(output)
    if not bad.any():
        return
    place = locate(bad, call)
    kind = "NaN" if torch.isnan(output).any() else "infinite"
    raise CheckFailed(
        case,
        f"{what} is not finite",
        f"expected finite numbers everywhere, got {kind} in {int(bad.sum())} of {bad.numel()} places (first: {place})",
        _nan_hint(call, bad),
    )


def locate(where: Tensor, call: Call) -> str:
    """Name the first marked place: ``batch 0, head 1, query 3``, or ``token 3, head 1`` for packed inputs."""
    head_dim = call.arguments["head_dim"]
    index = where.nonzero()[0].tolist()
    if len(index) == 3:
        return f"batch {index[0]}, head {index[2] // head_dim}, query {index[1]}"
    return f"token {index[0]}, head {index[1] // head_dim}"


def no_device_mismatch(case: str, call: Call, outcome: Outcome) -> None:
    """On the meta device only a device mismatch, or an output elsewhere, counts; other errors there say nothing."""
    failure = outcome.failure
    if failure is not None:
        if failure.kind == "RuntimeError" and _is_device_mismatch(failure.text):
            raise CheckFailed(
                case,
                "tensors of different devices meet",
                f"expected everything on q's device, got {failure}",
                "the tensors you create: give them device=q.device",
            )
        return
    if outcome.returned == "tensor" and outcome.device != "meta":
        raise CheckFailed(
            case,
            "the output is on another device than q",
            f"expected the device of q, got {outcome.device}",
            "the tensors you create: give them device=q.device",
        )


# ---- contract -------------------------------------------------------------------------------------------------------


def _contract_cases(variant: Variant) -> Iterator[Case]:
    arguments = _toy_arguments(variant, seed=1)
    meta = Call(arguments, setting="meta")
    yield _shape_case("shape and dtype", [Call(arguments)])
    if variant.packed:
        half = _converted(arguments, torch.float16)
        yield _shape_case("half precision (fp16 and bf16)", [Call(half), Call(arguments)])
        yield _shape_case("positional and keyword arguments", [Call(arguments, "positional"), Call(arguments)])
    else:
        half = [Call(_converted(arguments, dtype)) for dtype in (torch.float16, torch.bfloat16, torch.float64)]
        unmasked = arguments | {"mask": None}
        yield _shape_case("dtypes (fp16, bf16, fp64)", half)
        forms = [Call(arguments, "positional"), Call(arguments), Call(unmasked), Call(unmasked, "without mask")]
        yield _shape_case("positional, keyword, mask=None, no mask", forms)
    yield Case("contract", "device", (meta,), lambda outcomes: no_device_mismatch("device", meta, outcomes[0]))


def _shape_case(name: str, calls: Sequence[Call]) -> Case:
    def verify(outcomes: Sequence[Outcome]) -> None:
        for call, outcome in zip(calls, outcomes, strict=True):
            require_result(name, call, outcome)

    return Case("contract", name, tuple(calls), verify)


# ---- invariants -----------------------------------------------------------------------------------------------------


def _invariant_cases(variant: Variant) -> Iterator[Case]:
    yield _unchanged_inputs(variant)
    yield _own_query(variant)
    yield from _packed_invariants(variant) if variant.packed else _padded_invariants(variant)


def _padded_invariants(variant: Variant) -> Iterator[Case]:
    arguments = _toy_arguments(variant, seed=2)  # batch 2, seq 6
    seq = arguments["q"].shape[1]
    masks = {
        "padding on the right": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]).bool(),
        "padding on the left": torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]).bool(),
        "padding in between": torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]]).bool(),
    }
    later = torch.zeros(2, seq, dtype=torch.bool)
    later[:, 4:] = True
    if variant.causal:  # before the padding: a triangle that leaves a query no key would show there as a wrong mask
        yield _same_case(
            "causal",
            arguments | {"mask": None},
            _disturbed(arguments | {"mask": None}, later),
            ~later[..., None],
            "changed when later tokens changed",
            "the triangle: query i sees the keys j <= i, and no others, with a mask and without one",
        )
    for name, mask in masks.items():
        base = arguments | {"mask": mask}
        yield _same_case(
            name,
            base,
            _disturbed(base, ~mask),
            mask[..., None],
            "changed when masked keys and values changed",
            "where the mask enters: masked keys get no weight, for every head and every query",
        )
    if variant.causal:
        base = arguments | {"mask": masks["padding on the left"]}
        yield _same_case(
            "causal, padding on the left",
            base,
            _disturbed(base, later),
            (~later & base["mask"])[..., None],
            "changed when later tokens changed",
            "how the triangle and the mask come together: a key must be real, and must not come later",
        )
    probe = 2 if variant.causal else 5
    yield from _sensitive_cases(
        arguments | {"mask": masks["padding on the right"]},
        key=(0, probe),
        # a causal query sees itself and what came before; a bidirectional one sees later tokens too
        query=(0, 3 if variant.causal else 1),
    )


def _packed_invariants(variant: Variant) -> Iterator[Case]:
    arguments = _toy_arguments(variant, seed=2)  # lengths 3, 6, 1, 5
    bounds = arguments["cu_seqlens"].tolist()
    total = bounds[-1]
    second = torch.zeros(total, dtype=torch.bool)
    second[bounds[1] : bounds[2]] = True
    yield _same_case(
        "neighbours",
        arguments,
        _disturbed(arguments, second),
        ~second[..., None],
        "changed when another sequence changed",
        "cu_seqlens: it says where each sequence begins and ends, for the queries and for the keys",
    )
    if variant.causal:
        later = torch.zeros(total, dtype=torch.bool)
        later[bounds[1] + 3 : bounds[2]] = True
        yield _same_case(
            "causal",
            arguments,
            _disturbed(arguments, later),
            ~later[..., None],
            "changed when later tokens changed",
            "how the kernel is told that query i sees the keys j <= i of its own sequence",
        )
    start = bounds[1]
    probe = 2 if variant.causal else 5
    yield from _sensitive_cases(arguments, key=(start + probe,), query=(start + (3 if variant.causal else 1),))


def _unchanged_inputs(variant: Variant) -> Case:
    call = Call(_toy_arguments(variant, seed=3))

    def verify(outcomes: Sequence[Outcome]) -> None:
        require_result("inputs", call, outcomes[0])
        require_unchanged("inputs", outcomes[0])

    return Case("invariants", "inputs are not modified", (call,), verify)


def _own_query(variant: Variant) -> Case:
    """Heads that are not cut, or cut or merged across tokens, show here first, under their own name."""
    arguments = _toy_arguments(variant, seed=4)
    token, head, head_dim = (4 if variant.packed else 1), 1, arguments["head_dim"]
    if not variant.packed:
        arguments["mask"] = None
    place = (*(() if variant.packed else (0,)), token, slice(head * head_dim, (head + 1) * head_dim))
    other = arguments | {"q": arguments["q"].clone()}
    other["q"][place] += torch.linspace(-2, 2, head_dim).to(other["q"])
    others = torch.ones(arguments["q"].shape, dtype=torch.bool)
    others[place] = False
    hint = "how hidden_dim is cut into heads and merged again: in every head, a token keeps its own numbers"
    if variant.kernel == "eager":
        hint = f"the axis of the softmax, and {hint}"
    return _same_case(
        "queries keep to themselves",
        arguments,
        other,
        others,
        f"changed when q of token {token} changed in head {head} alone",
        hint,
    )


def require_unchanged(case: str, outcome: Outcome) -> None:
    """Fail where the call modified its arguments."""
    if outcome.changed:
        names = ", ".join(outcome.changed)
        raise CheckFailed(
            case,
            f"your function modified its input {names}",
            f"expected {names} as before the call, got other values",
            "operations that end in an underscore, and += *= /= on q, k, v or the mask",
        )


def _same_case(name: str, base: dict[str, Any], other: dict[str, Any], read: Tensor, problem: str, hint: str) -> Case:
    """Outputs at the places to be read must not differ between two inputs; ``read`` broadcasts to the output."""
    calls = (Call(base), Call(other))

    def verify(outcomes: Sequence[Outcome]) -> None:
        before, after = (require_result(name, call, outcome) for call, outcome in zip(calls, outcomes, strict=True))
        read_before, read_after = (torch.where(read, x.float(), 0.0) for x in (before, after))
        require_finite(name, calls[0], read_before)
        require_finite(name, calls[1], read_after)
        difference = (read_after - read_before).abs()
        wrong = difference > _tolerance(before) * (1 + read_before.abs())
        if wrong.any():
            worst, tokens = float(difference.max()), int(wrong.any(-1).sum())
            places = "1 token" if tokens == 1 else f"{tokens} tokens"
            raise CheckFailed(
                name,
                f"the output at {locate(wrong, calls[0])} {problem}",
                f"expected no change, got {worst:.2g} ({places} changed)",
                hint,
            )

    return Case("invariants", name, calls, verify)


def _sensitive_cases(arguments: dict[str, Any], key: tuple[int, ...], query: tuple[int, ...]) -> Iterator[Case]:
    """The output at a query must change with a key that it may see, with that key's value, and with the query."""
    for name, place in (("k", key), ("v", key), ("q", query)):
        other = dict(arguments)
        other[name] = arguments[name].clone()
        other[name][place] += 1.0 if name == "v" else torch.linspace(-2, 2, arguments[name].shape[-1]).to(other[name])
        yield _sensitive_case(name, (Call(arguments), Call(other)), place, query)


def _sensitive_case(name: str, calls: tuple[Call, Call], place: tuple[int, ...], query: tuple[int, ...]) -> Case:
    words = {"k": "a visible key", "v": "a visible value", "q": "the query"}
    title = f"{words[name]} matters"
    head_dim = calls[0].arguments["head_dim"]

    def verify(outcomes: Sequence[Outcome]) -> None:
        before, after = (
            require_result(title, call, outcome)[query].float() for call, outcome in zip(calls, outcomes, strict=True)
        )
        moved = (after - before).abs().unflatten(-1, (-1, head_dim)).amax(-1)  # [num_heads]
        still = ~(moved > 1e-3)  # NaN counts as still
        if still.any():
            raise CheckFailed(
                title,
                f"the output of query {query[-1]} did not change when {name} of token {place[-1]} changed",
                f"expected a change in every head, got none in head {int(still.nonzero()[0])}",
                "which keys each query may see, and whether q, k and v all enter the result",
            )

    return Case("invariants", title, calls, verify)


# ---- inputs and words ------------------------------------------------------------------------------------------------


def _toy_arguments(variant: Variant, seed: int) -> dict[str, Any]:
    """Batch 2, seq 6, 3 heads of 8, right padding; packed: lengths 3, 6, 1, 5 in bf16."""
    generator = torch.Generator().manual_seed(seed)
    heads, head_dim = 3, 8

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, heads * head_dim, generator=generator)

    if variant.packed:
        lengths = [3, 6, 1, 5]
        q, k, v = (draw(sum(lengths)).bfloat16() for _ in range(3))
        last: dict[str, Any] = {"cu_seqlens": running_sum(lengths), "max_seqlen": max(lengths)}
    else:
        q, k, v = (draw(2, 6) for _ in range(3))
        last = {"mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]).bool()}
    return {"q": q, "k": k, "v": v, "num_heads": heads, "head_dim": head_dim} | last


def _converted(arguments: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return arguments | {name: arguments[name].to(dtype) for name in ("q", "k", "v")}


def _disturbed(arguments: dict[str, Any], where: Tensor) -> dict[str, Any]:
    """Other keys and values at some tokens, large enough to be seen through a mask that is too weak."""
    other = dict(arguments)
    for name in ("k", "v"):
        other[name] = torch.where(where[..., None], 20 - 3 * arguments[name], arguments[name]).to(arguments[name].dtype)
    return other


def _tolerance(output: Tensor) -> float:
    """Rounding alone: a few units in the last place of the dtype (fp32 1e-5, fp16 4e-3, bf16 3e-2)."""
    return max(1e-5, 4 * torch.finfo(output.dtype).eps)


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _sizes(call: Call) -> str:
    q = call.arguments["q"]
    names = ("batch", "seq") if q.dim() == 3 else ("total_tokens",)
    sizes = ", ".join(f"{name} {size}" for name, size in zip(names, q.shape, strict=False))
    return f"{sizes}, num_heads {call.arguments['num_heads']}, head_dim {call.arguments['head_dim']}"


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
    if call.layout != "contiguous":
        words.append("with non-contiguous inputs")
    if call.cotangent is not None:
        words.append("with inputs that need gradients")
    return ", ".join(words)


def _explain_failure(failure: Failure, call: Call) -> tuple[str, str, str]:
    """Problem, detail and hint for an exception of the learner's function."""
    how = _how(call)
    detail = (
        f"expected a tensor, got {failure} ({_sizes(call)}, {_dtype(call.arguments['q'])}{', ' + how if how else ''})"
    )
    if failure.kind == "NotPerformed":
        got = f"expected a tensor, got none: your code {failure.text}"
        return "your function gave no answer", got, "loops that never end, and calls that end Python"
    if failure.kind == "SystemExit":
        return "your function ends Python", detail, "exit() and sys.exit(): return a tensor instead"
    if failure.is_stub:
        return "your function is not implemented yet", "expected a tensor, got the untouched stub", "the task above"
    if failure.kind == "TypeError" and "argument" in failure.text and not failure.line:
        return (
            "your function does not take the arguments",
            detail,
            "the signature in the task: names, order, defaults",
        )
    of_flash = ("cu_seqlens", "max_seqlen", "flash_attn_varlen", "FlashAttention", "[total_tokens")
    if any(words in failure.text for words in of_flash):
        return "the flash kernel refuses its arguments", detail, "its arguments: their order, shapes and dtypes"
    if re.search(NO_SUCH_GPU, failure.text):
        hint = 'cuda() and device="cuda" in your code: q.device fits anywhere'
        return "your function asks for a GPU that is not here", detail, hint
    if _is_device_mismatch(failure.text):
        return "tensors of different devices meet", detail, "the tensors you create: give them device=q.device"
    if "when is_causal=True" in failure.text:
        hint = "attn_mask and is_causal: the kernel wants one description of who sees whom, not two"
        return "the kernel refuses its arguments", detail, hint
    if "attn_mask dtype" in failure.text:
        hint = "what becomes of the mask: it arrives as bool, and the kernel takes a bool"
        return "the kernel refuses the mask", detail, hint
    if "dtype" in failure.text.lower() or "scalar type" in failure.text.lower():
        return "tensors of different dtypes meet", detail, "the tensors you create or convert: give them q's dtype"
    if "view size is not compatible" in failure.text:
        hint = "what the view is taken of: after a transpose the numbers no longer lie in order, and view cannot copy"
        return "a view cannot be taken", detail, hint
    if failure.kind == "RuntimeError" and any(word in failure.text for word in ("shape", "size", "view", "expand")):
        return (
            "the shapes do not fit",
            detail,
            "the shapes at each step: print them, compare with the task",
        )
    if "in-place" in failure.text:
        return (
            "an input is modified in place",
            detail,
            "operations that end in an underscore, and += *= /= on q, k or v",
        )
    return "your function raised an error", detail, "the line that the error names"


def _is_device_mismatch(text: str) -> bool:
    """Whether an error says that two devices met; PyTorch has two wordings for it."""
    return "same device" in text or "not on the expected device" in text


def _nan_hint(call: Call, bad: Tensor) -> str:
    rows = bad.any(-1)
    if call.arguments.get("mask") is not None and not rows.all():
        return (
            "softmax over a row in which every key is masked: minus infinity in every place divides zero by zero, "
            "and a repair after the softmax leaves NaN in the gradients"
        )
    if rows.dim() == 2 and rows.shape[1] > 1 and rows[:, 0].all() and not rows[:, 1:].any():
        return "which keys the first query sees: itself, at least; minus infinity in every place divides zero by zero"
    return "softmax: exp overflows unless the largest score of the row is subtracted first; and divisions by zero"
