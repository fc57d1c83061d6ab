"""The learner kit: inputs, attention maps, visible checks, and that it holds no answers."""

from __future__ import annotations

import ast
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from attention_grading.reference import attend
from attention_lab import CheckFailed, attention_map, check, get_variant, pack, packed_batch, padded_batch, unpack
from attention_lab.cli import main
from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[1]


def right(name: str):
    variant = get_variant(name)

    def function(q, k, v, num_heads, head_dim, *rest, **named):
        keys = ("cu_seqlens", "max_seqlen") if variant.packed else ("mask",)
        arguments = dict(zip(("q", "k", "v", "num_heads", "head_dim"), (q, k, v, num_heads, head_dim), strict=True))
        arguments |= dict.fromkeys(keys) | dict(zip(keys, rest, strict=False)) | named
        if q.device.type == "meta":
            return torch.empty_like(q)
        return attend(variant, arguments).to(q.dtype)

    return function


# ---- inputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("padding", "mask"),
    [("right", [1, 1, 1, 1, 0, 0]), ("left", [0, 0, 1, 1, 1, 1]), ("holes", [1, 1, 0, 0, 0, 1, 1])],
)
def test_padding_goes_where_it_is_asked(padding, mask):
    batch = padded_batch(padding=padding)
    assert batch.mask[1].int().tolist() == mask
    assert [token == "<pad>" for token in batch.tokens[1]] == [not real for real in mask]
    assert batch.q.shape == (2, len(mask), 24)


def test_padding_none_wants_equal_lengths():
    with pytest.raises(ValueError, match="one length"):
        padded_batch(padding="none")
    assert padded_batch((("a", "b"), ("c", "d")), padding="none").mask is None


def test_cu_seqlens_are_the_running_sum_in_int32():
    batch = packed_batch((("a",) * 2, ("b",) * 3, ("c",) * 4))
    assert batch.cu_seqlens.tolist() == [0, 2, 5, 9]
    assert batch.cu_seqlens.dtype == torch.int32
    assert (batch.max_seqlen, batch.lengths, batch.total_tokens) == (4, (2, 3, 4), 9)


def test_unpack_undoes_pack_at_real_tokens():
    batch = padded_batch(padding="holes")
    packed, cu_seqlens, max_seqlen = pack(batch.q, batch.mask)
    assert packed.shape[0] == int(batch.mask.sum()) == int(cu_seqlens[-1])
    assert max_seqlen == 6
    assert torch.equal(unpack(packed, batch.mask), batch.q * batch.mask[..., None])


# ---- attention map ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_attention_map_gives_the_weights_back(name):
    variant = get_variant(name)
    batch = packed_batch() if variant.packed else padded_batch(padding="left")
    weights = attention_map(right(name), batch)
    tokens = batch.q.shape[-2]
    assert weights.shape[-3:] == (batch.num_heads, tokens, tokens)
    # the weights, applied to the true values, give the output
    values = batch.v.float().unflatten(-1, (batch.num_heads, batch.head_dim)).transpose(-3, -2)
    output = (weights @ values).transpose(-3, -2).flatten(-2)
    torch.testing.assert_close(output, attend(variant, batch.arguments()).float(), atol=2e-2, rtol=2e-2)


def test_attention_map_names_a_wrong_shape():
    with pytest.raises(ValueError, match="your function returned"):
        attention_map(lambda **arguments: arguments["q"][0], padded_batch())


# ---- visible checks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_right_functions_pass_both_visible_checks(name, capsys):
    for which in ("contract", "invariants"):
        check(name, which, right(name))
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
        ("contract", lambda out, q, mask: (out, out), "returned tuple of 2"),
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


@pytest.mark.parametrize("name", ["eager_bidirectional", "eager_causal", "sdpa_bidirectional", "sdpa_causal"])
def test_heads_cut_across_tokens_are_found_under_their_own_name(name):
    function = right(name)

    def wrong(q, k, v, num_heads, head_dim, mask=None):
        # [batch, seq, hidden_dim] read as [batch, num_heads, seq, head_dim]
        q, k, v = (
            x.reshape(len(x), num_heads, -1, head_dim).transpose(1, 2).reshape(x.shape) if x.numel() else x
            for x in (q, k, v)
        )
        return function(q, k, v, num_heads, head_dim, mask)

    with pytest.raises(CheckFailed, match=r"\[queries keep to themselves\] .* changed when q of token 1 changed"):
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


def test_missing_argument_of_a_flash_function_is_its_own_fault():
    with pytest.raises(CheckFailed, match="does not take the arguments"):
        check("flash_causal", "contract", lambda q, k, v, num_heads, head_dim, cu_seqlens: q)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_missing_gpu_is_said(device):
    function = right("eager_causal")
    with pytest.raises(CheckFailed, match=r"asks for a GPU that is not here\n.*\n.*q\.device fits anywhere"):
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
        r"\[queries keep to themselves\]",
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


def test_traceback_is_a_list_of_three_lines():
    failed = CheckFailed("case", "problem", "detail", "hint")
    assert failed._render_traceback_() == ["[case] problem", "detail", "look at hint"]


def test_checks_write_nothing_to_stderr(capfd):
    import warnings

    def noisy(**arguments):
        warnings.warn("noise", stacklevel=1)
        print("noise", file=sys.stderr)
        return right("eager_causal")(**arguments)

    check("eager_causal", "invariants", noisy)
    assert capfd.readouterr().err == ""


# ---- the house -------------------------------------------------------------------------------------------------------


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_kit_never_imports_the_grading_package():
    for path in (ROOT / "src").rglob("*.py"):
        assert not any(name.startswith("attention_grading") for name in imports_of(path)), path


def test_worker_knows_neither_reference_nor_judge():
    code = (
        "import sys, attention_grading.execution.judge_worker\n"
        "print(sorted(name for name in sys.modules if name.startswith('attention_grading')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert "attention_grading.execution.judge_worker" in loaded
    assert {name.split(".")[1] for name in loaded if "." in name} <= {"execution", "sandbox", "text"}


def test_worker_survives_without_drawing_matplotlib():
    code = "import sys, attention_lab; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_check_command_judges_notebooks_and_says_so_by_exit_code(tmp_path):
    stem = VARIANTS["eager_causal"].stem
    right_notebook = ROOT / "source" / stem / f"{stem}.ipynb"
    stub = ROOT / "release" / stem / f"{stem}.ipynb"
    command = [sys.executable, "-m", "attention_lab.cli", "check"]
    good = subprocess.run([*command, str(right_notebook)], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "10 of 10" in good.stdout
    bad = subprocess.run([*command, str(stub), str(right_notebook)], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "not implemented yet" in bad.stdout
    unnamed = tmp_path / "x.ipynb"
    unnamed.write_bytes(stub.read_bytes())
    unknown = subprocess.run([*command, str(unnamed)], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
    assert "--variant" in unknown.stderr


@pytest.mark.parametrize(("name", "says"), [("eager_causal.ipynb", "there is no such file"), (".", "is a folder")])
def test_check_command_refuses_what_is_no_file(tmp_path, capsys, name, says):
    assert main(["check", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


def test_check_without_a_judge_runs_the_visible_checks_alone(tmp_path):
    stem = VARIANTS["eager_causal"].stem
    path = ROOT / "source" / stem / f"{stem}.ipynb"
    command = [sys.executable, "-m", "attention_lab.notebook.visible_checks", "eager_causal", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "passed  invariants" in done.stdout


def test_doctor_names_route_and_versions():
    done = subprocess.run(
        [sys.executable, "-m", "attention_lab.cli", "doctor"], capture_output=True, text=True, check=True
    )
    for word in ("torch", "flash route", "device", "stand-in" if not torch.cuda.is_available() else "flash"):
        assert word in done.stdout
