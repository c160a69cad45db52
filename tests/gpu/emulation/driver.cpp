// A CUDA driver that has no GPU: device memory is memory, a module is a shared object, a launch is a call.
//
// It stands in for libcuda where the launcher and the referee are tested without a GPU. A module exports, for each
// kernel, `emulated_NAME(grid, block, blocks of a cluster, shared bytes, parameters)`; `emulated_fault`, where a module
// has one, is what the next synchronisation reports.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <string>

using Emulated = void (*)(const uint32_t*, const uint32_t*, uint32_t, uint32_t, void**);

struct Attribute {
  int32_t id, pad;
  uint32_t cluster[3], rest[13];
};

struct Config {
  uint32_t grid[3], block[3], shared;
  void* stream;
  const Attribute* attributes;
  uint32_t n_attributes;
};

static void* g_module;
static int g_fault;  // what the next synchronisation reports

static uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

extern "C" {

int cuInit(unsigned) {
  return 0;
}
int cuDeviceGet(int* device, int) {
  return *device = 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 38 ? 1 << 20 : 0;  // L2 bytes; everything else is not there
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &g_module;
  return 0;
}
int cuCtxSetCurrent(void*) {
  return 0;
}
int cuCtxSynchronize() {
  int fault = g_fault;
  g_fault = 0;
  return fault;
}

int cuModuleLoadData(void** module, const void* image) {
  const char* bytes = static_cast<const char*>(image);
  if (memcmp(bytes,
             "\x7f"
             "ELF",
             4) != 0)
    return 200;  // CUDA_ERROR_INVALID_IMAGE
  uint64_t offset;
  uint16_t size, count;
  memcpy(&offset, bytes + 40, 8);
  memcpy(&size, bytes + 58, 2);
  memcpy(&count, bytes + 60, 2);
  const char* path = "/scratch/module.so";
  FILE* file = fopen(path, "wb");
  if (!file) return 999;
  fwrite(bytes, 1, offset + uint64_t(size) * count, file);
  fclose(file);
  g_module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!g_module) fprintf(stderr, "%s\n", dlerror());
  *module = g_module;
  return g_module ? 0 : 200;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = dlsym(module, (std::string("emulated_") + name).c_str());
  return *function ? 0 : 500;  // CUDA_ERROR_NOT_FOUND
}
int cuFuncSetAttribute(void*, int, int) {
  return 0;
}

int cuMemAlloc_v2(unsigned long long* at, size_t bytes) {
  void* found = aligned_alloc(256, (bytes + 255) / 256 * 256);
  *at = reinterpret_cast<unsigned long long>(found);
  return found ? 0 : 2;
}
int cuMemFree_v2(unsigned long long at) {
  free(reinterpret_cast<void*>(at));
  return 0;
}
int cuMemcpyHtoD_v2(unsigned long long to, const void* from, size_t bytes) {
  memcpy(reinterpret_cast<void*>(to), from, bytes);
  return 0;
}
int cuMemcpyDtoH_v2(void* to, unsigned long long from, size_t bytes) {
  memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return 0;
}
int cuMemsetD8Async(unsigned long long at, unsigned char value, size_t bytes, void*) {
  // The flush is not worth its time here: nothing of a GPU's cache is emulated.
  memset(reinterpret_cast<void*>(at), value, bytes < (64u << 20) ? bytes : 64);
  return 0;
}
int cuStreamCreate(void** stream, unsigned) {
  *stream = &g_module;
  return 0;
}
int cuEventCreate(void** event, unsigned) {
  *event = calloc(1, sizeof(uint64_t));
  return 0;
}
int cuEventRecord(void* event, void*) {
  *static_cast<uint64_t*>(event) = now();
  return 0;
}
int cuEventElapsedTime(float* milliseconds, void* start, void* stop) {
  *milliseconds = float(double(*static_cast<uint64_t*>(stop) - *static_cast<uint64_t*>(start)) / 1e6);
  return 0;
}
int cuLaunchKernelEx(const Config* config, void* function, void** parameters, void**) {
  uint32_t cluster = 1;
  for (uint32_t i = 0; i < config->n_attributes; i++) {
    const Attribute& one = config->attributes[i];
    if (one.id != 4) return 1;  // CUDA_ERROR_INVALID_VALUE: all but CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
    if (one.cluster[1] != 1 || one.cluster[2] != 1) return 801;  // CUDA_ERROR_NOT_SUPPORTED: here
    cluster = one.cluster[0];
  }
  reinterpret_cast<Emulated>(function)(config->grid, config->block, cluster, config->shared, parameters);
  if (int* fault = static_cast<int*>(dlsym(g_module, "emulated_fault"))) g_fault = *fault;
  return 0;
}
int cuGetErrorName(int error, const char** name) {
  *name = error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : error == 200 ? "CUDA_ERROR_INVALID_IMAGE" : "CUDA_ERROR";
  return 0;
}
}
