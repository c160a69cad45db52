"""The launcher declares what it needs of CUDA's driver by itself; where there is a toolkit, its header agrees."""

import shutil
import subprocess

import pytest

from assay.machine.cuda import find_toolkit, read_gpus
from assay.native.library import SOURCES

pytestmark = pytest.mark.filterwarnings("error")

CHECKS = """
#include <type_traits>
#include <cuda.h>
#include "cuda_driver.h"
using namespace assay::cuda;
static_assert(sizeof(LaunchConfig) == sizeof(CUlaunchConfig) && sizeof(LaunchAttribute) == sizeof(CUlaunchAttribute));
static_assert(offsetof(LaunchConfig, block) == offsetof(CUlaunchConfig, blockDimX));
static_assert(offsetof(LaunchConfig, shared_bytes) == offsetof(CUlaunchConfig, sharedMemBytes));
static_assert(offsetof(LaunchConfig, stream) == offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(LaunchConfig, attributes) == offsetof(CUlaunchConfig, attrs));
static_assert(offsetof(LaunchConfig, n_attributes) == offsetof(CUlaunchConfig, numAttrs));
static_assert(offsetof(LaunchAttribute, cluster) == offsetof(CUlaunchAttribute, value));
static_assert(kL2CacheSize == CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
static_assert(kPageableMemoryAccess == CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS);
static_assert(kMaxDynamicSharedBytes == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(kClusterDimension == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
static_assert(sizeof(Pointer) == sizeof(CUdeviceptr) && sizeof(Result) == sizeof(CUresult));
template <class Ours, class Theirs> constexpr bool alike = false;
template <class... A, class... B> constexpr bool alike<int (*)(A...), CUresult (*)(B...)> =
    sizeof...(A) == sizeof...(B) && ((sizeof(A) == sizeof(B)) && ...);
#define SAME(name) static_assert(alike<decltype(Driver::name), decltype(&::name)>);
SAME(cuInit) SAME(cuDeviceGet) SAME(cuDeviceGetAttribute) SAME(cuDevicePrimaryCtxRetain) SAME(cuCtxSetCurrent)
SAME(cuCtxSynchronize) SAME(cuModuleLoadData) SAME(cuModuleGetFunction) SAME(cuFuncSetAttribute) SAME(cuMemAlloc_v2)
SAME(cuMemFree_v2) SAME(cuMemcpyHtoD_v2) SAME(cuMemcpyDtoH_v2) SAME(cuMemsetD8Async) SAME(cuStreamCreate)
SAME(cuEventCreate) SAME(cuEventRecord) SAME(cuLaunchKernelEx) SAME(cuGetErrorName)
int main() {}
"""


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no CUDA toolkit here")
def test_our_declarations_are_those_of_the_toolkits_header(tmp_path):
    source = tmp_path / "check.cpp"
    source.write_text(CHECKS)
    include = [f"-I{SOURCES[0].parent}", f"-I{find_toolkit().root}/include"]
    done = subprocess.run(
        ["g++", "-std=c++17", "-fsyntax-only", *include, str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_gpus_are_read_from_what_the_drivers_program_prints():
    lines = [
        "0, GPU-1234, NVIDIA H100 80GB HBM3, 9.0, 81559, 580.65.06, 700.00, 1980",
        "1, GPU-5678, NVIDIA X, 12.1, 100, 580.65.06, [N/A], [Not Supported]",
        "No devices were found",
    ]
    first, second = read_gpus(lines)
    assert (first.name, first.capability, first.memory_bytes) == ("NVIDIA H100 80GB HBM3", 90, 81559 << 20)
    assert (first.power_limit_w, first.clock_limit_mhz) == (700.0, 1980.0)
    assert (second.capability, second.power_limit_w, second.clock_limit_mhz) == (121, None, None)
    assert read_gpus([]) == ()
