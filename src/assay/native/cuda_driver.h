// The part of CUDA's driver interface that the launcher uses, loaded at run time: no toolkit is needed to build this.
//
// Names, numbers and layouts are those of cuda.h; tests/gpu checks them against it where there is one.
#ifndef ASSAY_NATIVE_CUDA_DRIVER_H
#define ASSAY_NATIVE_CUDA_DRIVER_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

namespace assay::cuda {

using Result = int;
using Device = int;
using Pointer = unsigned long long;
using Context = struct ContextOpaque*;
using Module = struct ModuleOpaque*;
using Function = struct FunctionOpaque*;
using Stream = struct StreamOpaque*;
using Event = struct EventOpaque*;

constexpr int kL2CacheSize = 38, kPageableMemoryAccess = 88;  // CUdevice_attribute
constexpr int kMaxDynamicSharedBytes = 8;                     // CUfunction_attribute
constexpr int kClusterDimension = 4;                          // CUlaunchAttributeID

struct LaunchAttribute {
  int32_t id, pad;
  uint32_t cluster[3];
  uint32_t rest[13];  // the value is a union of 64 bytes
};

struct LaunchConfig {
  uint32_t grid[3], block[3];
  uint32_t shared_bytes;
  Stream stream;
  LaunchAttribute* attributes;
  uint32_t n_attributes;
};

// Every function by its exported symbol. `load` returns the name of the first that is missing, null where all are
// there.
struct Driver {
  Result (*cuInit)(unsigned);
  Result (*cuDeviceGet)(Device*, int);
  Result (*cuDeviceGetAttribute)(int*, int, Device);
  Result (*cuDevicePrimaryCtxRetain)(Context*, Device);
  Result (*cuCtxSetCurrent)(Context);
  Result (*cuCtxSynchronize)();
  Result (*cuModuleLoadData)(Module*, const void*);
  Result (*cuModuleGetFunction)(Function*, Module, const char*);
  Result (*cuFuncSetAttribute)(Function, int, int);
  Result (*cuMemAlloc_v2)(Pointer*, size_t);
  Result (*cuMemFree_v2)(Pointer);
  Result (*cuMemcpyHtoD_v2)(Pointer, const void*, size_t);
  Result (*cuMemcpyDtoH_v2)(void*, Pointer, size_t);
  Result (*cuMemsetD8Async)(Pointer, unsigned char, size_t, Stream);
  Result (*cuStreamCreate)(Stream*, unsigned);
  Result (*cuEventCreate)(Event*, unsigned);
  Result (*cuEventRecord)(Event, Stream);
  Result (*cuEventElapsedTime)(float*, Event, Event);
  Result (*cuLaunchKernelEx)(const LaunchConfig*, Function, void**, void**);
  Result (*cuGetErrorName)(Result, const char**);

  const char* load(void* library) {
    const char* missing = nullptr;
    auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (function == nullptr && missing == nullptr) missing = name;
    };
#define ASSAY_FIND(name) find(name, #name)
    ASSAY_FIND(cuInit), ASSAY_FIND(cuDeviceGet), ASSAY_FIND(cuDeviceGetAttribute);
    ASSAY_FIND(cuDevicePrimaryCtxRetain), ASSAY_FIND(cuCtxSetCurrent), ASSAY_FIND(cuCtxSynchronize);
    ASSAY_FIND(cuModuleLoadData), ASSAY_FIND(cuModuleGetFunction), ASSAY_FIND(cuFuncSetAttribute);
    ASSAY_FIND(cuMemAlloc_v2), ASSAY_FIND(cuMemFree_v2), ASSAY_FIND(cuMemcpyHtoD_v2), ASSAY_FIND(cuMemcpyDtoH_v2);
    ASSAY_FIND(cuMemsetD8Async), ASSAY_FIND(cuStreamCreate), ASSAY_FIND(cuEventCreate), ASSAY_FIND(cuEventRecord);
    ASSAY_FIND(cuEventElapsedTime), ASSAY_FIND(cuLaunchKernelEx), ASSAY_FIND(cuGetErrorName);
#undef ASSAY_FIND
    return missing;
  }
};

}  // namespace assay::cuda

#endif
