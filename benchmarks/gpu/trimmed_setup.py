"""flash-attn's ``setup.py`` with most kernels left out; run it in the unpacked source package.

A kernel that is left out is replaced by one that raises, so that the package imports as ever.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch.utils.cpp_extension as extension

SOURCES = Path("csrc/flash_attn/src")
# head_dim up to 32 in both dtypes and up to 128 in bf16, forward and backward; what is asked forward only; the kernel
# that splits the keys, for single queries with many of them
KEPT = re.compile(
    r"flash_((fwd|bwd)_hdim(32_(bf16|fp16)|(64|128)_bf16)(_causal)?|fwd_hdim(96|192|256)_bf16|fwd_split_hdim64_bf16)_sm80"
)
UNUSED = ("ALIBI", "DROPOUT", "SOFTCAP")
# the options that small tensors are asked with
USED = {"hdim32_": ("DROPOUT", "SOFTCAP"), "fwd_hdim64_bf16_sm80": ("ALIBI",)}
LEFT_OUT = Path("left_out.cpp")


def main() -> None:
    """Build what is kept."""
    make_extension = extension.CUDAExtension

    def trimmed(*args: Any, **options: Any) -> Any:
        sources = [Path(source) for source in options["sources"]]
        kernels = [source for source in sources if source.suffix == ".cu"]
        kept = [source for source in kernels if KEPT.search(source.name)]
        left_out = [source for source in kernels if source not in kept]
        assert len(kept) == 20, kept
        for source in kept:
            _narrow(source)
        _write(LEFT_OUT, _raising(left_out))
        # what takes longest first: the backward kernels and the one that splits
        kept.sort(key=lambda source: "fwd_hdim" in source.name)
        rest = [source for source in sources if source.suffix != ".cu"]
        options["sources"] = [str(source) for source in (*kept, *rest, LEFT_OUT)]
        return make_extension(*args, **options)

    extension.CUDAExtension = trimmed
    code = compile(Path("setup.py").read_text(), "setup.py", "exec")
    exec(code, {"__name__": "__main__", "__file__": str(Path("setup.py").resolve())})


def _narrow(source: Path) -> None:
    """Take options out of a kernel, which are compiled as variants of it; each halves the work."""
    used = {option for name, options in USED.items() if name in source.name for option in options}
    defines = "".join(f"#define FLASHATTENTION_DISABLE_{option}\n" for option in UNUSED if option not in used)
    text = source.read_text()
    if not text.startswith(defines):
        _write(source, defines + text)


def _raising(sources: list[Path]) -> str:
    """Definitions that raise, of what the sources would have defined."""
    functions = []
    for source in sources:
        found = re.search(r"(run_mha_\w+<[^>]+>)\((\w+) &params, cudaStream_t stream\)", source.read_text())
        functions.append(
            f"template<> void {found[1]}({found[2]} &params, cudaStream_t stream) "
            f'{{ TORCH_CHECK(false, "left out of this build of flash-attn: {source.stem}"); }}'
        )
    includes = "".join(
        f"#include {name}\n"
        for name in ("<c10/util/Exception.h>", "<cutlass/numeric_types.h>", '"namespace_config.h"', '"flash.h"')
    )
    return includes + "namespace FLASH_NAMESPACE {\n" + "\n".join(functions) + "\n}\n"


def _write(path: Path, text: str) -> None:
    """Write what is new, so that what is compiled already stays so."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    main()
