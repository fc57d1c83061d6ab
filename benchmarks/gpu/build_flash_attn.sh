#!/usr/bin/env bash
# Build flash-attn from its PyPI source package for one GPU architecture, with only the kernels that this course's tests
# and benchmarks call: some minutes on 16 cores instead of an hour for everything.
#
# usage: build_flash_attn.sh flash_attn-2.8.3.post2.tar.gz FOLDER [ARCH, default: this machine's]
#
# FOLDER is for PYTHONPATH afterwards. Run it again after an interruption: what is compiled stays.
# A kernel that is left out raises an error that says so, where the whole package would have computed.
# Get the package in an environment that has torch:
#   FLASH_ATTENTION_SKIP_CUDA_BUILD=TRUE pip download --no-deps --no-build-isolation --no-binary flash-attn flash-attn==2.8.3.post2
set -euo pipefail
package=$(realpath "$1") folder=$(realpath -m "$2") here=$(realpath "$(dirname "$0")")
arch=${3:-$(python3 -c 'import torch; print(*torch.cuda.get_device_capability(), sep="")')}
mkdir -p "$folder"
if [ ! -e "$folder/setup.py" ]; then
    tar xf "$package" -C "$folder" --strip-components=1
fi
cd "$folder"
cp "$here/trimmed_setup.py" .
jobs=$(env -u OMP_NUM_THREADS nproc) # which counts no further than OMP_NUM_THREADS
FLASH_ATTN_CUDA_ARCHS=$arch TORCH_CUDA_ARCH_LIST=$((arch / 10)).$((arch % 10)) FLASH_ATTENTION_FORCE_BUILD=TRUE \
    MAX_JOBS=${MAX_JOBS:-$jobs} NVCC_THREADS=1 python3 trimmed_setup.py build_ext --inplace >build.log 2>&1 ||
    { tail -40 build.log >&2; exit 1; }
ls -l "$folder"/flash_attn_2_cuda*.so
