// The trusted launcher of device code: it allocates, fills, flushes, launches by a plan, times and copies back.
//
// A candidate of device code has no host code, so that nothing of it runs in this process: what its kernels cannot
// reach, they cannot forge. They reach their context's device memory; where the driver gives kernels the process's own
// memory too, `assay_device_reaches_host` says so, and the referee's clock outside is all that bounds them.
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "channel.h"
#include "cuda_driver.h"

namespace {

using namespace assay::cuda;

// Inputs and outputs of one call on the device, and how they are filled.
struct Buffer {
  Pointer at = 0;
  int64_t bytes = 0;
};

struct Prepared {
  Function function;
  const assay_device_launch* launch;
  std::vector<uint64_t> values;
  std::vector<void*> pointers;
};

struct State {
  Driver driver;
  std::vector<Module> modules;
  Stream stream = nullptr;
  Event start = nullptr, stop = nullptr;
  Buffer inputs, weights, outputs, scratch, flush;
  int reaches_host = 0;
  const assay_device_work* work = nullptr;
  std::vector<Prepared> launches;
  std::vector<uint8_t> copied;  // inputs and weights as they are after the call
  std::string message;
};

State state;

// Twice the second-level cache is what a pass must touch to leave nothing of it; at least 256 MB, which take 0.1 ms, so
// that the launches behind are queued before the device comes to them and no gap of the host's is timed.
constexpr int64_t kLeastFlush = 256 << 20;
constexpr int64_t kLaunchesPerFlush = 16;
constexpr int64_t kBehind = 64 << 10;  // bytes of NaN behind what was copied in: who multiplies them by 0 is found

bool failed(Result result, const char* what) {
  if (result == 0) return false;
  const char* name = "unknown";
  if (state.driver.cuGetErrorName) state.driver.cuGetErrorName(result, &name);
  state.message = std::string(what) + ": " + (name ? name : "unknown") + " (" + std::to_string(result) + ")";
  return true;
}

bool reserve(Buffer& buffer, int64_t bytes) {
  if (buffer.bytes >= bytes) return true;
  if (buffer.at) state.driver.cuMemFree_v2(buffer.at);
  buffer = {};
  if (failed(state.driver.cuMemAlloc_v2(&buffer.at, static_cast<size_t>(bytes + kBehind)), "allocating device memory"))
    return false;
  buffer.bytes = bytes;
  return true;
}

bool upload(const Buffer& buffer, const void* from, int64_t bytes) {
  if (bytes == 0) return true;
  if (failed(state.driver.cuMemcpyHtoD_v2(buffer.at, from, static_cast<size_t>(bytes)), "copying in")) return false;
  return !failed(state.driver.cuMemsetD8Async(buffer.at + static_cast<Pointer>(bytes), 0xFF, kBehind, state.stream),
                 "filling what lies behind");
}

uint8_t random_byte() {
  uint8_t byte = 0xA5;
  (void)!getrandom(&byte, 1, 0);
  return byte;
}

Pointer address(const assay_device_parameter& parameter) {
  const Buffer* spaces[] = {nullptr, &state.inputs, &state.weights, &state.outputs, &state.scratch};
  return spaces[parameter.space]->at + static_cast<Pointer>(parameter.value);
}

bool prepare(Prepared& one) {
  const assay_device_launch& launch = *one.launch;
  if (failed(state.driver.cuModuleGetFunction(&one.function, state.modules[launch.module], launch.kernel),
             launch.kernel))
    return false;
  int shared = static_cast<int>(launch.shared_bytes);
  if (shared > 0 &&
      failed(state.driver.cuFuncSetAttribute(one.function, kMaxDynamicSharedBytes, shared), "asking for shared memory"))
    return false;
  one.values.resize(static_cast<size_t>(launch.n_parameters));
  one.pointers.clear();
  for (int i = 0; i < launch.n_parameters; i++) {
    const assay_device_parameter& parameter = launch.parameters[i];
    one.values[i] = parameter.space ? address(parameter) : static_cast<uint64_t>(parameter.value);
    one.pointers.push_back(&one.values[i]);
  }
  return true;
}

bool launch(Prepared& one) {
  const assay_device_launch& what = *one.launch;
  LaunchAttribute cluster{kClusterDimension, 0, {what.cluster[0], what.cluster[1], what.cluster[2]}, {}};
  bool clustered = what.cluster[0] * what.cluster[1] * what.cluster[2] > 1;
  LaunchConfig config{};
  std::copy_n(what.grid, 3, config.grid);
  std::copy_n(what.block, 3, config.block);
  config.shared_bytes = what.shared_bytes;
  config.stream = state.stream;
  config.attributes = clustered ? &cluster : nullptr;
  config.n_attributes = clustered ? 1 : 0;
  return !failed(state.driver.cuLaunchKernelEx(&config, one.function, one.pointers.data(), nullptr), what.kernel);
}

// Whether a block on the device still holds what was copied in: inputs and weights are read-only by contract.
bool unchanged(const Buffer& buffer, const uint8_t* was, int64_t bytes, const char* what) {
  if (bytes == 0) return true;
  state.copied.resize(static_cast<size_t>(std::max<int64_t>(bytes, static_cast<int64_t>(state.copied.size()))));
  if (failed(state.driver.cuMemcpyDtoH_v2(state.copied.data(), buffer.at, static_cast<size_t>(bytes)), "copying back"))
    return false;
  if (memcmp(state.copied.data(), was, static_cast<size_t>(bytes)) == 0) return true;
  state.message = std::string("a kernel wrote to its ") + what + ", which are read-only";
  return false;
}

bool fill(int buffer) {
  const assay_device_work& work = *state.work;
  Driver& driver = state.driver;
  if (!upload(state.inputs, work.inputs, work.input_bytes)) return false;
  if (!upload(state.weights, work.weights, work.weight_bytes)) return false;
  if (!upload(state.outputs, work.outputs[buffer], work.output_bytes)) return false;
  if (work.scratch_bytes && failed(driver.cuMemsetD8Async(state.scratch.at, random_byte(),
                                                          static_cast<size_t>(work.scratch_bytes), state.stream),
                                   "poisoning scratch"))
    return false;
  int64_t passes = 1 + work.n_launches / kLaunchesPerFlush;
  for (int64_t pass = 0; pass < passes; pass++)
    if (failed(
            driver.cuMemsetD8Async(state.flush.at, random_byte(), static_cast<size_t>(state.flush.bytes), state.stream),
            "flushing caches"))
      return false;
  return true;
}

// One call; the device's time in nanoseconds, -1 where it failed.
int64_t run(int buffer) {
  const assay_device_work& work = *state.work;
  Driver& driver = state.driver;
  float milliseconds = 0;
  if (!fill(buffer)) return -1;
  if (failed(driver.cuEventRecord(state.start, state.stream), "starting the clock")) return -1;
  for (Prepared& one : state.launches)
    if (!launch(one)) return -1;
  if (failed(driver.cuEventRecord(state.stop, state.stream), "stopping the clock")) return -1;
  if (failed(driver.cuCtxSynchronize(), "running the kernels")) return -1;
  if (failed(driver.cuEventElapsedTime(&milliseconds, state.start, state.stop), "reading the clock")) return -1;
  if (work.output_bytes &&
      failed(driver.cuMemcpyDtoH_v2(work.outputs[buffer], state.outputs.at, static_cast<size_t>(work.output_bytes)),
             "copying out"))
    return -1;
  if (!unchanged(state.inputs, work.inputs, work.input_bytes, "inputs")) return -1;
  if (!unchanged(state.weights, work.weights, work.weight_bytes, "weights")) return -1;
  return std::max<int64_t>(static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6), 1);
}

}  // namespace

extern "C" {

int assay_device_open(const char* path, const void* const* images, int64_t n_images) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    state.message = std::string("the CUDA driver cannot be loaded: ") + dlerror();
    return 1;
  }
  Driver& driver = state.driver;
  if (const char* missing = driver.load(library)) {
    state.message = std::string("the CUDA driver is too old: it has no ") + missing;
    return 1;
  }
  Device device = 0;
  Context context = nullptr;
  int l2 = 0;
  if (failed(driver.cuInit(0), "starting CUDA") || failed(driver.cuDeviceGet(&device, 0), "finding a GPU") ||
      failed(driver.cuDevicePrimaryCtxRetain(&context, device), "making a context") ||
      failed(driver.cuCtxSetCurrent(context), "entering the context") ||
      failed(driver.cuDeviceGetAttribute(&l2, kL2CacheSize, device), "asking for the cache's size") ||
      failed(driver.cuDeviceGetAttribute(&state.reaches_host, kPageableMemoryAccess, device), "asking for access") ||
      failed(driver.cuStreamCreate(&state.stream, 1), "making a stream") ||
      failed(driver.cuEventCreate(&state.start, 0), "making an event") ||
      failed(driver.cuEventCreate(&state.stop, 0), "making an event"))
    return 1;
  state.modules.resize(static_cast<size_t>(n_images));
  for (int64_t i = 0; i < n_images; i++)
    if (failed(driver.cuModuleLoadData(&state.modules[i], images[i]), "loading the kernels")) return 1;
  return reserve(state.flush, std::max<int64_t>(2 * static_cast<int64_t>(l2), kLeastFlush)) ? 0 : 1;
}

int assay_device_prepare(const assay_device_work* work) {
  state.work = work;
  state.launches.clear();
  if (!reserve(state.inputs, work->input_bytes) || !reserve(state.weights, work->weight_bytes) ||
      !reserve(state.outputs, work->output_bytes) || !reserve(state.scratch, work->scratch_bytes))
    return 1;
  for (int64_t i = 0; i < work->n_launches; i++) state.launches.push_back({nullptr, &work->launches[i], {}, {}});
  for (Prepared& one : state.launches)
    if (!prepare(one)) return 1;
  return 0;
}

int64_t assay_device_serve(int channel, uint8_t* reply, int64_t reply_bytes, uint8_t* packet, int64_t packet_bytes) {
  for (;;) {
    int64_t length = assay::receive(channel, packet, packet_bytes);
    if (length >= 0) return length;
    uint32_t buffer;
    memcpy(&buffer, packet + 4, 4);
    int64_t device_ns = run(static_cast<int>(buffer & 1));
    if (device_ns < 0) return -1;
    memcpy(reply + assay::kReplySequence, packet + 8, 8);
    memcpy(reply + assay::kReplyDeviceNs, &device_ns, 8);
    if (send(channel, reply, static_cast<size_t>(reply_bytes), MSG_NOSIGNAL) < 0) return 0;
  }
}

const char* assay_device_message(void) {
  return state.message.c_str();
}

int assay_device_reaches_host(void) {
  return state.reaches_host;
}
}
