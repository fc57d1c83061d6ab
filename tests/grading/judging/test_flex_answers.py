"""12 judged: the matrix cell by cell, who computed the numbers, and what is asked where PyTorch has no gradients."""

from __future__ import annotations

import pytest
import torch

from attention_grading.execution.kernel_hooks import marked_kernels
from attention_grading.judging.cases import plan
from attention_grading.judging.in_kernel import judge_all, perform_here
from attention_grading.judging.kernel_factors import true_sdpa
from attention_grading.judging.outcomes import problem_of
from attention_lab import flex
from attention_lab.notebook.run_cells import names_in_scope
from attention_lab.rules import RULES, visible_keys
from attention_lab.variants import POINTS, get_variant
from corpus import CORPUS
from corpus.answer import changed

VARIANT = get_variant("flex_document")
SOURCES = {answer.name: answer.source for answer in CORPUS if answer.variant == VARIANT.name}


def function_of(source: str):
    scope = names_in_scope()
    exec(source, scope)
    return scope[VARIANT.function_name]


def cases(device: str = "cpu", **words: str):
    return [case for case in plan(VARIANT.name, "any", device) if words.get("named", "") in case.name]


def asked(source: str, named: str) -> dict[str, str]:
    """What is wrong with each case of this name; nothing for one that passes."""
    function = function_of(source)
    problems = {case.name: problem_of(case, perform_here(VARIANT, function, case.calls)) for case in cases(named=named)}
    return {name: str(problem) for name, problem in problems.items() if problem is not None}


# ---- the matrix ------------------------------------------------------------------------------------------------------


def test_matrices_cross_borders_of_blocks_and_have_windows():
    matrices = cases(named="matrix of documents")
    assert {case.calls[0].arguments["window"] for case in matrices} >= {None, 1, 3, 100}
    assert max(case.calls[0].arguments["q"].shape[0] for case in matrices) > 128
    for case in matrices:
        arguments = case.calls[0].arguments
        hidden = [RULES[rule].hides(arguments).any() for rule in VARIANT.rules if rule != "window"]
        assert all(hidden), case.name


@pytest.mark.parametrize("name", ["closure", "table", "documents-as-batch"])
def test_a_right_matrix_passes(name):
    assert asked(SOURCES[name], "matrix") == {}


def test_one_cell_too_many_is_named_with_its_reason():
    one_more = changed(SOURCES["closure"], [("return seen\n", "return seen | ((q_idx == 4) & (kv_idx == 1))\n")])
    problems = asked(one_more, "the matrix of documents, cell by cell")
    (message,) = problems.values()
    assert "query 4 sees key 1, although it belongs to another sequence" in message
    assert "(1 are wrong)" in message


def test_one_cell_too_few_is_named():
    one_less = changed(SOURCES["closure"], [("return seen\n", "return seen & ~((q_idx == 8) & (kv_idx == 5))\n")])
    (message,) = asked(one_less, "the matrix of documents, cell by cell").values()
    assert "query 8 does not see key 5" in message


def test_a_leak_within_every_tolerance_is_one():
    """A millionth of another token's value: no comparison of numbers shows it."""
    leaking = changed(
        SOURCES["closure"],
        [
            (
                "    return output[0]",
                "    output = output + 1e-6 * v.roll(1, 2) * (tokens > 1)\n    return output[0]",
            )
        ],
    )
    assert asked(leaking, "matrix")


# ---- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not flex.forward_alone("cpu"), reason="this PyTorch has a backward pass of flex_attention on a CPU")
def test_on_a_cpu_the_check_says_that_it_asks_the_forward_pass_alone():
    names = [case.name for case in cases() if case.check == "robustness"]
    assert f"forward alone, as {flex.forward_alone('cpu')}" in names
    assert not [call for case in cases() for call in case.calls if call.cotangent is not None]


def test_where_there_are_gradients_they_are_asked_with_documents_and_windows(monkeypatch):
    monkeypatch.setattr("attention_grading.judging.cases.forward_alone", lambda device: "")
    plan.cache_clear()
    try:
        with_gradients = [call for case in cases() for call in case.calls if call.cotangent is not None]
        assert {call.arguments["window"] for call in with_gradients} == {None, 2, 5}
        assert {call.arguments["q"].dtype for call in with_gradients} == {torch.float32, torch.float16, torch.bfloat16}
        assert [case for case in cases() if case.check == "kernel" and case.name == "gradients wanted"]
    finally:
        plan.cache_clear()


# ---- the kernel ------------------------------------------------------------------------------------------------------


def doubled(kernel: str, arguments: dict) -> torch.Tensor:
    return 2 * true_sdpa(**arguments) if kernel == "flex" else 5 * arguments["output"]


@pytest.mark.parametrize(("name", "factor"), [("closure", 2), ("score-scaled", 2), ("no-block-mask", 5)])
def test_marked_flex_attention_is_the_real_one_times_its_factor(name, factor):
    flex.load_compiler()
    function = function_of(SOURCES[name])
    case = next(case for case in cases() if case.check == "kernel")
    call = case.calls[-1]
    with flex.uncompiled(), torch.no_grad():
        expected = function(**call.arguments)
        with marked_kernels(doubled):
            marked = function(**call.arguments)
        after = function(**call.arguments)
    torch.testing.assert_close(marked, factor * expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after, expected)


def test_a_right_answer_gets_all_points_in_this_process():
    verdict = judge_all(VARIANT, function_of(SOURCES["closure"]))
    assert {check.name: check.earned for check in verdict.checks} == POINTS


def test_labels_that_fp32_and_int32_cannot_hold_are_drawn():
    (case,) = cases(named="labels in int32, below zero")
    labels = [call.arguments["document_ids"] for call in case.calls]
    assert {each.dtype for each in labels} == {torch.int32, torch.int64}
    for each, call in zip(labels, case.calls, strict=True):
        coarse = call.arguments | {"document_ids": each.float().long()}
        if int(each.max()) > 2**24:
            assert not torch.equal(visible_keys(VARIANT.rules, coarse), visible_keys(VARIANT.rules, call.arguments))
