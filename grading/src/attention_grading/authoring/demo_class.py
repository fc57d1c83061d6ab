"""The demo's class: right answers, one known mistake a notebook, and hostile submissions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from attention_grading.authoring.course_root import stems_in
from attention_lab.notebook.learner_cells import SOLUTION_ID, grade_id_of
from attention_lab.variants import VARIANTS, Variant, get_variant

# One known mistake a notebook
MISTAKES: dict[str, str] = {
    "eager_bidirectional": """
def eager_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1)  # the scale is missing
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
""",
    "eager_causal": """
def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = mask[:, None, None, :]  # the triangle is lost where a mask is given
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
""",
    "sdpa_bidirectional": """
def sdpa_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    keys = None if mask is None else ~mask[:, None, None, :]  # the polarity is the wrong way round
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keys).transpose(1, 2).flatten(2)
""",
    "sdpa_causal": """
def sdpa_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    # the padding mask is never used
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
""",
    "flash_bidirectional": """
def flash_bidirectional_attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    # the batch is treated as one long sequence
    ends = torch.tensor([0, len(q)], dtype=torch.int32, device=q.device)
    return flash_attn_varlen_func(q, k, v, ends, ends, len(q), len(q)).flatten(1)
""",
    "flash_causal": """
def flash_causal_attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    # causal is forgotten
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen).flatten(1)
""",
    "tiled_causal": """
def tiled_causal_attention(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    low, place = torch.finfo(q.dtype).min, torch.arange(q.shape[2], device=q.device)
    maximum = torch.full_like(q[..., :1], low)
    total, output = torch.zeros_like(maximum), torch.zeros_like(q)
    for tile in place.split(block_size):
        allowed = tile <= place[:, None]
        if mask is not None:
            allowed = allowed & mask[:, None, None, tile]
        scores = (q @ k[:, :, tile].mT / math.sqrt(head_dim)).masked_fill(~allowed, low)
        larger = torch.maximum(maximum, scores.amax(-1, keepdim=True))
        shares = torch.exp(scores - larger) * allowed
        total = total * torch.exp(maximum - larger) + shares.sum(-1, keepdim=True)
        output = output + shares @ v[:, :, tile]  # what was gathered before is not rescaled
        maximum = larger
    return (output / total.masked_fill(total == 0, 1.0)).transpose(1, 2).flatten(2)
""",
    "grouped_causal": """
def grouped_causal_attention(q, k, v, num_heads, num_kv_heads, head_dim, mask=None):
    q = q.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)
    k, v = (x.unflatten(-1, (num_kv_heads, head_dim)).transpose(1, 2) for x in (k, v))
    allowed = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    outputs = []
    for head in range(num_heads):
        own = slice(head % num_kv_heads, head % num_kv_heads + 1)  # the groups are not neighbours
        outputs.append(F.scaled_dot_product_attention(q[:, head : head + 1], k[:, own], v[:, own], attn_mask=allowed))
    return torch.cat(outputs, dim=1).transpose(1, 2).flatten(2)
""",
    "window_causal": """
def window_causal_attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen, window):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    # the kernel counts the keys besides the query's own: one too many is seen
    borders = (cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
    return flash_attn_varlen_func(q, k, v, *borders, causal=True, window_size=(window, 0)).flatten(1)
""",
    "cached_decode": """
def cached_decode_attention(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    q = q.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)
    used = (torch.arange(k_cache.shape[1], device=q.device) < cache_seqlens[:, None])[:, :, None, None]
    k, v = (cache.masked_fill(~used, 0.0).transpose(1, 2) for cache in (k_cache, v_cache))
    # the triangle begins at the first key, and not where the new tokens stand
    output = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return output.transpose(1, 2).flatten(2)
""",
    "packed_positions": """
def packed_positions_attention(q, k, v, num_heads, head_dim, position_ids):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    begins = position_ids == 0  # a document that goes on from another row begins elsewhere
    begins[0] = True
    borders = F.pad(begins.nonzero().flatten(), (0, 1), value=len(q)).int()
    longest = int(borders.diff().max())
    return flash_attn_varlen_func(q, k, v, borders, borders, longest, longest, causal=True).flatten(1)
""",
    "flex_document": """
def flex_document_attention(q, k, v, num_heads, head_dim, document_ids, window=None):
    tokens = q.shape[0]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(0, 1)[None] for x in (q, k, v))

    def mask_mod(b, h, q_idx, kv_idx):
        seen = (kv_idx <= q_idx) & (document_ids[q_idx] == document_ids[kv_idx])
        # the query itself is not counted
        return seen if window is None else seen & (q_idx - kv_idx <= window)

    block_mask = create_block_mask(mask_mod, None, None, tokens, tokens, device=q.device)
    return flex_attention(q, k, v, block_mask=block_mask)[0].transpose(0, 1).flatten(1)
""",
}


def right(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """The instructor's own solution."""
    return _with_solution(released, _solution(master).source)


def one_mistake(variant: Variant, released: NotebookNode, master: NotebookNode) -> str | None:
    """A known mistake; nothing where none is kept here."""
    mistake = MISTAKES.get(variant.name)
    return None if mistake is None else _with_solution(released, mistake.strip())


def blank(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """The release as it was given out."""
    return _text(released)


def syntax_error(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """A function that does not parse."""
    return _with_solution(released, f"def {variant.function_name}(q, k, v, num_heads:\n    return q")


def broken_file(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """A file that was cut off while it was saved."""
    text = _text(released)
    return text[: len(text) // 2]


# What hostile cells try; a function that copies its values deserves what it earns without them
FORGERY = """
import builtins, sys
sys.displayhook = lambda value: builtins.print(10.0)
torch.allclose = torch.equal = lambda *arguments, **options: True
def judge(*arguments, **options): return 2.0
"""
PRYING = """
import os, pathlib, signal, socket
def attempt(action):
    try:
        print(action())
    except BaseException as error:
        print(type(error).__name__)
attempt(lambda: pathlib.Path("gradebook.db").write_bytes(b""))
attempt(lambda: [path.read_text() for path in pathlib.Path.cwd().rglob("*.ipynb")])
attempt(lambda: __import__("attention_grading.reference"))
attempt(lambda: socket.create_connection(("127.0.0.1", 80), timeout=1))
attempt(lambda: os.fork())
os.kill(os.getppid(), signal.SIGKILL)
"""


def forges_marks(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """A function that is wrong, and code that wants full marks for it."""
    return _with_solution(
        released, f"{FORGERY}\ndef {variant.function_name}(q, k, v, *more, **named): return v.clone()"
    )


def pries(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """The right function, and code that tries the gradebook, others' files, the reference, the network and a kill."""
    return _with_solution(released, _solution(master).source + PRYING)


def never_ends(variant: Variant, released: NotebookNode, master: NotebookNode) -> str | None:
    """A function that never returns; in one notebook only, since each costs the whole time limit."""
    if variant is not next(iter(VARIANTS.values())):
        return None
    return _with_solution(released, f"def {variant.function_name}(*arguments, **named):\n    while True: pass")


Writer = Callable[[Variant, NotebookNode, NotebookNode], str | None]
HOSTILE: dict[str, Writer] = {"forges-marks": forges_marks, "pries": pries, "never-ends": never_ends}
HONEST: dict[str, Writer] = {
    "all-right": right,
    "one-mistake": one_mistake,
    "blank": blank,
    "syntax-error": syntax_error,
    "broken-file": broken_file,
}
STUDENTS = HONEST | HOSTILE


def make_class(folder: Path, students: dict[str, Writer]) -> None:
    """Write every student's submissions from the releases; a writer that gives nothing hands nothing in."""
    for stem in stems_in(folder / "source"):
        variant, name = get_variant(stem), f"{stem}/{stem}.ipynb"
        released = nbformat.read(folder / "release" / name, as_version=4)
        master = nbformat.read(folder / "source" / name, as_version=4)
        for student, write in students.items():
            text = write(variant, released, master)
            if text is not None:
                path = folder / "submitted" / student / name
                path.parent.mkdir(parents=True)
                path.write_text(text, encoding="utf-8")


def _solution(notebook: NotebookNode) -> NotebookNode:
    cell: NotebookNode = next(cell for cell in notebook.cells if grade_id_of(cell) == SOLUTION_ID)
    return cell


def _with_solution(released: NotebookNode, source: str) -> str:
    notebook = nbformat.from_dict(released)
    cell = _solution(notebook)
    before, cell.source = cell.source, source
    text = _text(notebook)
    cell.source = before
    return text


def _text(notebook: NotebookNode) -> str:
    text: str = nbformat.writes(notebook)
    return text
