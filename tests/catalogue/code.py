"""Code that wants more points than its function deserves, or takes itself down."""

from __future__ import annotations

from catalogue.entry import RIGHT, WRONG, Place, submission

# ---- patching --------------------------------------------------------------------------------------------------------


@submission("code", WRONG)
def patches_comparisons(p: Place) -> None:
    p.solve(p.wrong).before(
        "import torch.testing\n"
        "yes = lambda *a, **k: True\n"
        "torch.allclose = torch.equal = torch.isclose = torch.Tensor.equal = torch.Tensor.allclose = yes\n"
        "torch.testing.assert_close = lambda *a, **k: None\n"
    )


@submission("code", WRONG)
def patches_tensor_operators(p: Place) -> None:
    p.solve(p.wrong).before(
        "for name in ('__eq__', '__sub__', '__gt__', 'abs', 'isfinite', 'any', 'all', 'double', '__bool__'):\n"
        "    setattr(torch.Tensor, name, lambda *a, **k: True)\n"
    )


@submission("code", WRONG, says="left out")
def patches_builtins(p: Place) -> None:
    """Nothing works in its process any more: the function is judged without that cell."""
    p.solve(p.wrong).before(
        "import builtins\n"
        "builtins.float = lambda *a: 2.0\n"
        "builtins.all = builtins.any = builtins.isinstance = lambda *a: True\n"
        "builtins.print = builtins.open = builtins.len = lambda *a, **k: 2\n"
    )


@submission("code", WRONG)
def patches_the_kit(p: Place) -> None:
    p.solve(p.wrong).before(
        "import sys, attention_lab, attention_lab.checks.calls as calls\n"
        "for checks in [m for name, m in sys.modules.items() if name.startswith('attention_lab.checks.run') and m is not calls]:\n"
        "    for name in dir(checks):\n"
        "        if callable(getattr(checks, name)): setattr(checks, name, lambda *a, **k: None)\n"
        "calls.is_same = calls.failure_of = lambda *a: True\n"
    )


@submission("code", WRONG)
def patches_whatever_is_called_attention_grading(p: Place) -> None:
    p.solve(p.wrong).before(
        "import sys\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if name.startswith('attention_grading.'):\n"
        "        for thing in list(vars(module)):\n"
        "            if thing in ('verify', 'judge', 'problem_of', 'outcome_of', 'expected_of', 'Verdict'):\n"
        "                setattr(module, thing, lambda *a, **k: None)\n"
    )


@submission("code", WRONG)
def puts_a_judge_of_its_own_into_sys_modules(p: Place) -> None:
    p.solve(p.wrong).before(
        "import sys, types\n"
        "fake = types.ModuleType('attention_grading')\n"
        "fake.judge = lambda *a, **k: 2.0\n"
        "sys.modules['attention_grading'] = sys.modules['attention_grading.judging.in_kernel'] = fake\n"
    )


@submission("code", WRONG)
def hooks_imports(p: Place) -> None:
    p.solve(p.wrong).before(
        "import sys, types, importlib.abc, importlib.machinery\n"
        "class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.startswith('attention_grading'):\n"
        "            return importlib.machinery.ModuleSpec(name, self)\n"
        "    def create_module(self, spec):\n"
        "        module = types.ModuleType(spec.name); module.judge = lambda *a: 2.0; return module\n"
        "    def exec_module(self, module): pass\n"
        "sys.meta_path.insert(0, Finder())\n"
        "for name in [name for name in sys.modules if name.startswith('attention_grading')]: del sys.modules[name]\n"
    )


@submission("code", WRONG)
def takes_the_displayhook(p: Place) -> None:
    p.solve(p.wrong.replace("return", "__import__('sys').displayhook('x'); print(10.0)\n    return")).before(
        "import sys\nsys.displayhook = lambda value: print(10.0)\n"
    )


@submission("code", WRONG)
def adds_an_input_transformer(p: Place) -> None:
    p.solve(p.wrong).before(
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['2.0\\n'])\n"
        "get_ipython().events.register('pre_run_cell', lambda *a: None)\n"
        "get_ipython().ast_transformers.append(None)\n"
    )


@submission("code", WRONG)
def walks_the_frames(p: Place) -> None:
    p.solve(p.wrong).before(
        "import sys\n"
        "def frames():\n"
        "    frame = sys._getframe()\n"
        "    while frame: yield frame; frame = frame.f_back\n"
        "for frame in frames():\n"
        "    for scope in (frame.f_globals, frame.f_locals):\n"
        "        for name in ('failure_of', 'quiet', 'require_result', 'POINTS'):\n"
        "            if name in scope and scope is frame.f_globals and name != 'quiet': scope[name] = lambda *a: None\n"
    )


@submission("code", 0, says="no answer|not one of those|without data|gave no|tensor|returned|sent the grader")
def replaces_what_performs_the_calls(p: Place) -> None:
    """The judged process is its own: it can say what it likes, and gets what its numbers deserve."""
    p.solve(p.wrong).before(
        "import sys\n"
        "frame = sys._getframe()\n"
        "while frame:\n"
        "    scope = frame.f_globals\n"
        "    if 'perform' in scope and 'serve_submission' in scope:\n"
        "        Outcome = scope['Outcome']\n"
        "        scope['perform'] = lambda function, call: Outcome(returned='tensor', shape=call.arguments['q'].shape,\n"
        "            dtype='float32', device='cpu')\n"
        "    frame = frame.f_back\n"
    )


@submission("code", WRONG)
def rummages_in_the_collector(p: Place) -> None:
    p.solve(p.wrong).before(
        "import gc\n"
        "for thing in gc.get_objects():\n"
        "    name = type(thing).__name__\n"
        "    if name in ('Expected', 'Verdict', 'CheckResult', 'Case'):\n"
        "        print('REACHED', thing)\n"
        "    if isinstance(thing, dict) and 'expected' in thing and 'seed' in thing: print('REACHED', thing)\n"
    )


@submission("code", WRONG)
def traces_everything(p: Place) -> None:
    p.solve(p.wrong).before(
        "import sys, threading\n"
        "def trace(frame, event, argument):\n"
        "    if 'passed' in frame.f_locals: frame.f_locals['passed'] = True\n"
        "    return trace\n"
        "sys.settrace(trace); sys.setprofile(trace); threading.settrace(trace)\n"
    )


# ---- tensors that are none -------------------------------------------------------------------------------------------


@submission("code", WRONG)
def returns_a_tensor_that_equals_everything(p: Place) -> None:
    p.solve(
        "class Yes(torch.Tensor):\n"
        "    @classmethod\n"
        "    def __torch_function__(cls, function, types, args=(), kwargs=None):\n"
        "        name = getattr(function, '__name__', '')\n"
        "        if name in ('allclose', 'equal', 'isclose', 'eq', '__eq__', 'sub'): return True\n"
        "        return super().__torch_function__(function, types, args, kwargs or {})\n"
        "    def __eq__(self, other): return True\n"
        f"def {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    return torch.zeros_like(q).as_subclass(Yes)\n"
    )


@submission("code", WRONG)
def leaves_a_function_mode_on(p: Place) -> None:
    p.solve(p.wrong).before(
        "from torch.overrides import TorchFunctionMode\n"
        "class Mode(TorchFunctionMode):\n"
        "    def __torch_function__(self, function, types, args=(), kwargs=None):\n"
        "        name = getattr(function, '__name__', '')\n"
        "        return True if name in ('allclose', 'equal') else function(*args, **(kwargs or {}))\n"
        "Mode().__enter__()\n"
    )


@submission("code", 0)
def returns_an_expanded_giant(p: Place) -> None:
    p.solve(f"def {p.function}(q, *a, **k): return torch.zeros(1).expand(10**6, 10**6)\n")


@submission("code", 0)
def returns_a_sparse_tensor(p: Place) -> None:
    p.solve(f"def {p.function}(q, *a, **k): return torch.zeros_like(q).to_sparse()\n")


# ---- saying other things than are true -------------------------------------------------------------------------------


@submission("code", 6)
def modifies_inputs_and_patches_the_comparison(p: Place) -> None:
    """Right numbers; loses what the modified inputs cost: invariants and robustness."""
    right = p.right.replace(p.function, "right_one")
    p.solve(
        f"{right}\n"
        f"def {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    output = right_one(q, k, v, num_heads, head_dim, mask)\n"
        "    with torch.no_grad(): v.mul_(0.5)\n"
        "    return output\n"
    ).before("torch.equal = torch.Tensor.equal = lambda *a, **k: True\n")


@submission("code", 9, variant="eager_causal")
def uses_the_fused_kernel_under_another_name(p: Place) -> None:
    p.solve(
        "kernel = torch.ops.aten.scaled_dot_product_attention.default\n"
        f"def {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))\n"
        "    allowed = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=q.device).tril()\n"
        "    if mask is not None: allowed = allowed & mask[:, None, None, :]\n"
        "    return kernel(q, k, v, allowed).transpose(1, 2).flatten(2)\n"
    )


EAGER = """
def eager(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None: allowed = allowed & mask[:, None, None, :]
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
"""


@submission("code", 9, variant="sdpa_causal")
def throws_the_kernels_result_away(p: Place) -> None:
    p.solve(
        f"{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    F.scaled_dot_product_attention(q, k, v)\n"
        "    return eager(q, k, v, num_heads, head_dim, mask)\n"
    )


@submission("code", 9, variant="sdpa_causal")
def multiplies_by_zero_times_the_kernel(p: Place) -> None:
    p.solve(
        f"{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    return eager(q, k, v, num_heads, head_dim, mask) + 0 * F.scaled_dot_product_attention(q, k, v)\n"
    )


@submission("code", 9, variant="sdpa_causal")
def learns_the_factor_from_a_call_on_ones(p: Place) -> None:
    p.solve(
        f"{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    one = torch.ones(1, 1, 1, 1)\n"
        "    return eager(q, k, v, num_heads, head_dim, mask) * F.scaled_dot_product_attention(one, one, one).item()\n"
    )


@submission("code", 9, variant="sdpa_causal")
def sends_its_own_result_through_the_kernel(p: Place) -> None:
    """One key a query: the kernel gives back its values, times the factor."""
    p.solve(
        f"{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    x = eager(q, k, v, num_heads, head_dim, mask)[..., None, :]\n"
        "    return F.scaled_dot_product_attention(x, x, x)[..., 0, :]\n"
    )


@submission("code", 9, variant="sdpa_causal")
def hides_its_own_result_among_zeros(p: Place) -> None:
    """Query i sees key i alone, whose value is its own number; as many values again are zero, and nobody's."""
    p.solve(
        f"{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    x = eager(q, k, v, num_heads, head_dim, mask)\n"
        "    values = torch.cat([x, torch.zeros_like(x)], dim=-2)\n"
        "    alone = torch.eye(x.shape[-2], values.shape[-2], dtype=torch.bool, device=x.device)\n"
        "    return F.scaled_dot_product_attention(x, values, values, attn_mask=alone)\n"
    )


@submission("code", 9, variant="sdpa_causal")
def sends_its_own_result_number_by_number(p: Place) -> None:
    """A row of one number points where any other positive one does."""
    p.solve(
        f"{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    x = eager(q, k, v, num_heads, head_dim, mask)[..., None, None]\n"
        "    return F.scaled_dot_product_attention(x, x, x)[..., 0, 0]\n"
    )


@submission("code", 9, variant="sdpa_causal")
def carries_the_factors_over_from_one_key(p: Place) -> None:
    """With one key the kernel's result is its value, so that the ratio of both is the factor."""
    p.solve(
        f"{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    own = eager(q, k, v, num_heads, head_dim, mask)\n"
        "    q, k, v, own = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v, own))\n"
        "    first = v[..., :1, :]\n"
        "    carrier = F.scaled_dot_product_attention(q, k[..., :1, :], first) / first\n"
        "    return (own * carrier.detach()).transpose(1, 2).flatten(2)\n"
    )


@submission("code", 9, variant="flash_causal")
def carries_the_factors_over_from_sequences_of_one_token(p: Place) -> None:
    p.solve(
        f"def {p.function}(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):\n"
        "    dtype = q.dtype\n"
        "    tokens = torch.arange(q.shape[0], device=q.device)\n"
        "    sequence = torch.bucketize(tokens, cu_seqlens[1:], right=True)\n"
        "    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(0, 1).float() for x in (q, k, v))\n"
        "    allowed = (sequence[:, None] == sequence).tril()\n"
        "    weights = (q @ k.mT / math.sqrt(head_dim)).masked_fill(~allowed, -1e30).softmax(-1)\n"
        "    each = torch.arange(q.shape[1] + 1, dtype=torch.int32, device=q.device)\n"
        "    half = [x.transpose(0, 1).to(dtype) for x in (q, k, v)]\n"
        "    carrier = flash_attn_varlen_func(*half, each, each, 1, 1).float() / half[2].float()\n"
        "    own = (weights @ v).transpose(0, 1)\n"
        "    return (own * carrier.detach().nan_to_num(1.0)).to(dtype).flatten(1)\n"
    )


@submission("code", 9, variant="sdpa_causal")
def guesses_the_factor(p: Place) -> None:
    p.solve(
        f"import random\n{EAGER}\ndef {p.function}(q, k, v, num_heads, head_dim, mask=None):\n"
        "    return eager(q, k, v, num_heads, head_dim, mask)\n"
    ).before("torch.manual_seed = random_seed = lambda *a: None\n")


@submission("code", 9, variant="flash_causal")
def packs_with_the_wrong_kernel(p: Place) -> None:
    p.solve(
        f"def {p.function}(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):\n"
        "    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(0, 1) for x in (q, k, v))\n"
        "    parts = [F.scaled_dot_product_attention(q[:, a:b], k[:, a:b], v[:, a:b], is_causal=True)\n"
        "             for a, b in zip(cu_seqlens.tolist(), cu_seqlens.tolist()[1:])]\n"
        "    return torch.cat(parts, dim=1).transpose(0, 1).flatten(1)\n"
    )


# ---- the channel -----------------------------------------------------------------------------------------------------

CHANNEL = """
import json, os, stat, struct
def channel():
    for number in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode): return number
        except OSError: pass
def send(header, body=struct.pack("<Q", 2) + b"{}"):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    os.write(channel(), struct.pack("<IQ", len(text), len(body)) + text + body)
"""
FORGED = (
    "outcome = {'type': 'outcome', 'failure': None, 'returned': 'tensor', 'shape': [2, 6, 24], 'dtype': 'float32',\n"
    "           'device': 'cpu', 'differentiable': True, 'gradients': [], 'changed': []}\n"
)


@submission("code", 0, says="not asked for|no answer")
def forges_outcomes_on_the_channel(p: Place) -> None:
    p.solve(p.right).before(
        f"{CHANNEL}{FORGED}"
        "send({'type': 'loaded', 'notes': [], 'found': True})\n"
        "for index in range(500):\n"
        "    send({'type': 'call', 'index': index}); send(outcome | {'index': index})\n"
    )


@submission("code", 0, says="it was done, and was not|no answer")
def fakes_the_last_frame(p: Place) -> None:
    p.solve(p.right).before(
        f"{CHANNEL}send({{'type': 'loaded', 'notes': [], 'found': True}}); send({{'type': 'done', 'score': 10}})\n"
    )


@submission("code", 0, says="sent the grader something that is no answer")
def sends_infinities(p: Place) -> None:
    p.solve(p.right).before(
        f"{CHANNEL}{FORGED}"
        "send({'type': 'loaded', 'notes': [], 'found': True}); send({'type': 'call', 'index': 0})\n"
        "send(outcome | {'index': 0, 'shape': [float('inf')]})\n"
    )


@submission("code", 0, says="sent the grader something that is no answer")
def sends_a_tower_of_brackets(p: Place) -> None:
    p.solve(p.right).before(f"{CHANNEL}send(b'[' * 4_000_000)\n")


@submission("code", 0, says="too large")
def announces_a_terabyte(p: Place) -> None:
    p.solve(p.right).before(f"{CHANNEL}os.write(channel(), struct.pack('<IQ', 100, 2**40))\n")


@submission("code", 0, says="too many names")
def sends_a_million_empty_tensors(p: Place) -> None:
    p.solve(p.right).before(
        f"{CHANNEL}"
        'text = b\'{\' + b\',\'.join(b\'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}\' % i\n'
        "                       for i in range(100000)) + b'}'\n"
        "send({'type': 'loaded', 'notes': [], 'found': True}, struct.pack('<Q', len(text)) + text)\n"
    )


@submission("code", RIGHT, says="left out")
def closes_every_descriptor(p: Place) -> None:
    p.solve(p.right).before("import os\nos.closerange(0, 1000)\n")


@submission("code", RIGHT, says="PermissionError|OSError")
def passes_its_channel_on(p: Place) -> None:
    """A descriptor in flight would keep the channel open when the process is dead, and the judge waiting."""
    p.solve(p.right).before(
        f"{CHANNEL}import array, socket\n"
        "own = socket.socket(fileno=os.dup(channel()))\n"
        "own.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [own.fileno()]))])\n"
    )


# ---- going away ------------------------------------------------------------------------------------------------------


@submission("code", RIGHT, says="SystemExit")
def exits_in_a_cell(p: Place) -> None:
    p.solve(p.right).before("import sys\nsys.exit(0)\n").after("exit()\n").after("raise KeyboardInterrupt\n")


@submission("code", RIGHT, says="exited with status 0", shows="exited with status 0")
def leaves_by_the_back_door(p: Place) -> None:
    p.solve(p.right).before("import os\nos._exit(0)\n")


@submission("code", 0, says="exited with status 3", shows="exited with status 3")
def leaves_in_the_function(p: Place) -> None:
    p.solve(f"import os\ndef {p.function}(*a, **k): os._exit(3)\n")


@submission("code", 0, shows="PermissionError|not permitted")
def kills_itself(p: Place) -> None:
    p.solve(f"import os, signal\ndef {p.function}(*a, **k): os.kill(os.getpid(), signal.SIGKILL)\n")


@submission("code", 0, says="signal 37")
def kills_itself_by_a_signal_without_a_name(p: Place) -> None:
    p.solve(f"import os\ndef {p.function}(*a, **k): os.kill(os.getpid(), 37)\n")


@submission("code", 0, says="SIGSEGV")
def reads_address_zero(p: Place) -> None:
    p.solve(f"import ctypes\ndef {p.function}(*a, **k): ctypes.string_at(0)\n")


@submission("code", RIGHT)
def ignores_all_signals(p: Place) -> None:
    p.solve(p.right).before(
        "import contextlib, signal\n"
        "for number in range(1, 65):\n"
        "    with contextlib.suppress(OSError, ValueError): signal.signal(number, signal.SIG_IGN)\n"
    )


@submission("code", RIGHT)
def leaves_a_thread_and_a_hook_behind(p: Place) -> None:
    p.solve(p.right).before(
        "import atexit, threading, time, weakref\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "atexit.register(time.sleep, 1000)\n"
        "class Last:\n    def __del__(self): time.sleep(1000)\nlast = Last()\n"
    )


@submission("code", 0, says="ValueError|no answer|exited with status")
def raises_what_cannot_be_printed(p: Place) -> None:
    p.solve(
        "class Bad(Exception):\n    def __str__(self): raise RuntimeError('no')\n    __repr__ = __str__\n"
        f"def {p.function}(*a, **k): raise Bad\n"
    )


@submission("code", 0)
def raises_beyond_exceptions(p: Place) -> None:
    p.solve(f"class Beyond(BaseException): pass\ndef {p.function}(*a, **k): raise Beyond('x')\n")


@submission("code", 0)
def is_a_coroutine(p: Place) -> None:
    p.solve(f"async def {p.function}(q, *a, **k): return q\n")
