"""Honest clumsiness: it costs nothing."""

from __future__ import annotations

import copy
import json

from catalogue.entry import RIGHT, Place, submission


@submission("clumsy", RIGHT)
def has_extra_cells(p: Place) -> None:
    p.solve(p.right).before("a = 1\nprint(a)").after("b = a + 1\nb").after("# my notes", "markdown").after("1 / 0")


@submission("clumsy", RIGHT)
def helps_itself_in_other_cells(p: Place) -> None:
    body = p.right.replace(p.function, "helper")
    p.before(body).before("SCALE = 1.0\nfrom functools import partial")
    p.solve(
        f"def {p.function}(q, k, v, num_heads, head_dim, mask=None):\n    return SCALE * helper(q, k, v, num_heads, head_dim, mask)"
    )


@submission("clumsy", RIGHT)
def splits_its_solution_over_two_cells(p: Place) -> None:
    head, _, body = p.right.partition("def ")
    p.solve(head + "RATIO = 1.0\ndef split(x, heads, dim): return x\n").after(f"{head}def {body}")


@submission("clumsy", RIGHT)
def prints_and_warns(p: Place) -> None:
    noise = "import sys, warnings, logging\nwarnings.warn('careful'); print('debug', file=sys.stderr); logging.warning('x'); print('x')"
    p.solve(
        p.right.replace(p.function, "quiet_one")
        + (f"\ndef {p.function}(*a, **k):\n    " + noise.replace("\n", "\n    ") + "\n    return quiet_one(*a, **k)\n")
    ).before(noise)


@submission("clumsy", RIGHT)
def copies_the_solutions_cell(p: Place) -> None:
    """Copy and paste keeps the metadata: two cells with one grade_id."""
    twin = copy.deepcopy(p.cell("solution"))
    p.solve(p.right)
    p.notebook["cells"].append({**twin, "id": "copied"})


@submission("clumsy", RIGHT)
def copies_a_check(p: Place) -> None:
    p.solve(p.right)
    p.notebook["cells"].append({**copy.deepcopy(p.cell("test-contract")), "id": "copied"})


@submission("clumsy", RIGHT, says="is graded as", moves=True)
def renames_its_notebook(p: Place) -> None:
    p.solve(p.right).name = f"Copy of {p.stem} (1).ipynb"


@submission("clumsy", RIGHT, says="is graded as", moves=True)
def renames_its_notebook_altogether(p: Place) -> None:
    p.solve(p.right).name = "Untitled.ipynb"


@submission("clumsy", RIGHT)
def has_a_kernel_of_its_own(p: Place) -> None:
    p.solve(p.right)
    p.notebook["metadata"]["kernelspec"] = {
        "display_name": "torch-env",
        "language": "python",
        "name": "conda-env-torch-py",
    }


@submission("clumsy", RIGHT)
def was_saved_by_colab(p: Place) -> None:
    p.solve(p.right)
    p.notebook["metadata"] = {
        "colab": {"provenance": [], "toc_visible": True},
        "accelerator": "GPU",
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"x": {"model_name": "Layout"}}},
    }
    p.notebook["nbformat_minor"] = 0
    for cell in p.notebook["cells"]:
        cell["metadata"] |= {"id": cell.pop("id"), "colab": {"base_uri": "https://localhost:8080/"}}
        cell["source"] = [line + "\n" for line in "".join(cell["source"]).split("\n")][:-1] or cell["source"]
        if cell["metadata"]["id"] == "solution":
            cell["source"] = p.right.splitlines(keepends=True)


@submission("clumsy", RIGHT)
def was_saved_by_vs_code(p: Place) -> None:
    p.solve(p.right)
    p.notebook["metadata"] |= {"vscode": {"interpreter": {"hash": "0"}}, "orig_nbformat": 4}
    for cell in p.notebook["cells"]:
        cell["metadata"]["vscode"] = {"languageId": "python"}
        cell["execution_count"] = 3


@submission("clumsy", RIGHT)
def lost_its_ids(p: Place) -> None:
    p.solve(p.right)
    for number, cell in enumerate(p.notebook["cells"]):
        cell["metadata"], cell["id"] = {}, f"{number:08x}"


@submission("clumsy", RIGHT)
def lost_its_ids_and_was_edited(p: Place) -> None:
    p.solve(p.right).before("x = padded_batch()\nx.q.shape")
    for cell in p.notebook["cells"]:
        cell["metadata"] = {}
        del cell["id"]
    p.notebook["nbformat_minor"] = 2


@submission("clumsy", RIGHT)
def uses_magics_and_shell_lines(p: Place) -> None:
    p.solve(
        "%load_ext autoreload\n!pip install torch\n"
        + p.right
        + "\n%timeit 1\nfiles = !ls\nwho = %who_ls\ntorch.softmax?\n"
    ).before("%%bash\necho hello").before("%matplotlib inline\n!nvidia-smi\nimport os")


@submission("clumsy", RIGHT)
def times_its_solution(p: Place) -> None:
    p.solve("%%time\n" + p.right)


@submission("clumsy", RIGHT)
def asks_for_the_shell(p: Place) -> None:
    p.solve("get_ipython().run_line_magic('matplotlib', 'inline')\n" + p.right)


@submission("clumsy", RIGHT)
def has_a_byte_order_mark(p: Place) -> None:
    p.solve(p.right).text = lambda notebook: b"\xef\xbb\xbf" + json.dumps(notebook).encode()


@submission("clumsy", RIGHT)
def has_carriage_returns(p: Place) -> None:
    p.solve(p.right.replace("\n", "\r\n")).text = lambda notebook: (
        json.dumps(notebook, indent=1).replace("\n", "\r\n").encode()
    )


@submission("clumsy", RIGHT)
def draws_and_displays(p: Place) -> None:
    p.solve(
        "import matplotlib.pyplot as plt\nimport numpy as np\nplt.plot(np.arange(3)); plt.show()\ndisplay('x')\n"
        + p.right
    ).after("from IPython.display import display\nimport pandas_that_is_not_there").after(
        "plt.imshow([[1, 2]]); plt.show()"
    )


@submission("clumsy", RIGHT, says="another type than code")
def turns_its_solution_into_markdown(p: Place) -> None:
    cell = p.solve(p.right).cell("solution")
    cell["cell_type"] = "markdown"
    del cell["outputs"], cell["execution_count"]


@submission("clumsy", RIGHT)
def imports_in_the_setup_cell(p: Place) -> None:
    setup = p.cell("setup")
    setup["source"] = "".join(setup["source"]) + "\nimport itertools, numpy as np\nROOT = math.sqrt\n"
    p.solve(p.right.replace("math.sqrt", "ROOT") if "math.sqrt" in p.right else p.right + "\nitertools.count\n")


@submission("clumsy", RIGHT)
def keeps_the_stub_below_its_solution(p: Place) -> None:
    p.before(p.right)


@submission("clumsy", RIGHT, says="the last one counts")
def keeps_an_older_attempt(p: Place) -> None:
    p.before(p.wrong).solve(p.right)


@submission("clumsy", RIGHT)
def defines_it_under_an_if(p: Place) -> None:
    body = "".join("    " + line for line in p.right.strip().splitlines(keepends=True))
    p.solve(f"if True:\n{body}\n")


@submission("clumsy", RIGHT)
def is_an_object_that_can_be_called(p: Place) -> None:
    p.solve(
        f"{p.right.replace(p.function, 'plain_one')}\nclass Attention:\n    def __call__(self, *a, **k): return plain_one(*a, **k)\n{p.function} = Attention()\n"
    )


@submission("clumsy", RIGHT)
def tests_itself_below(p: Place) -> None:
    p.solve(
        p.right
        + f"\nif __name__ == '__main__':\n    b = padded_batch()\n    {p.function}(b.q, b.k, b.v, b.num_heads, b.head_dim)\n    assert False, 'look here'\n"
    )


@submission("clumsy", RIGHT)
def asks_for_input(p: Place) -> None:
    p.solve(p.right).before("name = input('who are you? ')\nprint(name)").after("import getpass; getpass.getpass()")


@submission("clumsy", RIGHT)
def writes_results_to_a_file(p: Place) -> None:
    p.solve(p.right).after("open('results.csv', 'w').write('1')").after("torch.save({}, 'model.pt')")


@submission("clumsy", RIGHT)
def writes_in_its_own_language(p: Place) -> None:
    p.solve("# Lösung für Übung 2 ✓ 注意力\nπ = 3.14\n" + p.right).after("print('ñ', '日本', '🙂')")


@submission("clumsy", RIGHT)
def brings_a_picture_and_a_checkpoint(p: Place) -> None:
    p.solve(p.right)
    p.file(".ipynb_checkpoints/x-checkpoint.ipynb", "{}")
    p.file("notes/drawing.png", b"\x89PNG")


@submission("clumsy", RIGHT)
def caches_its_triangle(p: Place) -> None:
    p.solve(
        "from functools import lru_cache\n"
        "@lru_cache\ndef triangle(n): return torch.ones(n, n, dtype=torch.bool).tril()\n" + p.right + "\ntriangle(3)\n"
    )


@submission("clumsy", RIGHT)
def changes_pytorchs_settings(p: Place) -> None:
    p.solve(p.right).before(
        "torch.set_printoptions(precision=2)\ntorch.set_num_threads(2)\ntorch.set_grad_enabled(False)\ntorch.manual_seed(0)"
    )


@submission("clumsy", RIGHT, variant="sdpa_causal")
def solves_sdpa_head_by_head(p: Place) -> None:
    p.solve(
        f"def {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    allowed = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool, device=q.device).tril()[None]\n"
        "    if mask is not None: allowed = allowed & mask[:, None, :]\n"
        "    parts = zip(*(x.split(head_dim, dim=-1) for x in (q, k, v)))\n"
        "    outputs = [F.scaled_dot_product_attention(a, b, c, attn_mask=allowed | ~allowed.any(-1, keepdim=True)) for a, b, c in parts]\n"
        "    return torch.cat(outputs, dim=-1)\n"
    )


@submission("clumsy", RIGHT, variant="flash_causal")
def solves_flash_by_another_import(p: Place) -> None:
    p.solve(
        "from flash_attn import flash_attn_varlen_func as kernel\n"
        + p.right.replace("flash_attn_varlen_func", "kernel")
    )
