#!/usr/bin/env bash
# Check and time this course on a machine with an NVIDIA GPU (Ampere or newer).
#
# usage: [ROUTE=varlen_attn] benchmarks/gpu/run.sh STAGE…
#        stages: build conformance notebooks judge benchmark savings
#
# Where flash-attn is not installed and not to be built, ROUTE=varlen_attn runs all but `build` with what PyTorch brings.
# Each stage takes less than nine minutes and goes on where it stopped when it is run again; results are left in $OUT
# (default: build/gpu/results). `build` is for machines without flash-attn; it wants the source package in $PACKAGE.
# Further stages use what it built, if it did, else the flash-attn that is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
OUT=$(realpath -m "${OUT:-build/gpu/results}")
BUILT=$(realpath -m "${BUILT:-build/gpu/flash-attn}")
PYTHON=${PYTHON:-python3}
ROUTE=${ROUTE:-flash-attn}
mkdir -p "$OUT"
export PYTHONPATH=$PWD/src:$PWD/grading/src:$PWD/tests${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
use_built() {
    if compgen -G "$BUILT/flash_attn_2_cuda*.so" >/dev/null; then
        export PYTHONPATH=$BUILT:$PYTHONPATH
    fi
}
require_route() {
    "$PYTHON" - "$ROUTE" <<'P'
import sys
from attention_lab.flash import flash_attn_varlen_func, flash_route
route = flash_route()
assert route.name == sys.argv[1], route
if route.name == "flash-attn":
    import flash_attn
    assert flash_attn_varlen_func is flash_attn.flash_attn_varlen_func
    print(flash_attn.__version__, flash_attn.__file__)
print("flash route:", route.name)
P
}
for stage in "$@"; do
    echo "== $stage"
    start=$SECONDS
    case $stage in
    build)
        benchmarks/gpu/build_flash_attn.sh "$PACKAGE" "$BUILT"
        use_built
        require_route
        ;;
    conformance)
        use_built
        require_route
        "$PYTHON" tests/gpu/flash_contract.py --need "$ROUTE" --need varlen_attn --json "$OUT/conformance.json"
        ;;
    notebooks)
        use_built
        require_route
        "$PYTHON" benchmarks/gpu/notebooks.py "$OUT/notebooks.tar.gz" --route "$ROUTE"
        ;;
    judge)
        use_built
        require_route
        "$PYTHON" benchmarks/gpu/judge_answers.py --route "$ROUTE" --json "$OUT/judged.json"
        ;;
    benchmark)
        use_built
        require_route
        "$PYTHON" benchmarks/kernels.py --out "$OUT/kernels.json"
        ;;
    savings)
        use_built
        require_route
        "$PYTHON" benchmarks/savings.py --out "$OUT/savings.json"
        ;;
    *)
        echo "unknown stage $stage" >&2
        exit 2
        ;;
    esac
    echo "== $stage took $((SECONDS - start)) s"
done
