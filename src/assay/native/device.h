// What runs on a device in one call, as plain data; device_abi.py mirrors it.
#ifndef ASSAY_NATIVE_DEVICE_H
#define ASSAY_NATIVE_DEVICE_H

#include <stdint.h>

extern "C" {

// One parameter of a kernel: its bytes, or the address of a place in one of the blocks.
typedef struct {
  int32_t space;  // 0: `value` is the parameter; 1 inputs, 2 weights, 3 outputs, 4 scratch: its offset in bytes
  int32_t bytes;
  int64_t value;
} assay_device_parameter;

typedef struct {
  const char* kernel;
  int64_t module;
  uint32_t grid[3], block[3], cluster[3];
  uint32_t shared_bytes;
  int32_t n_parameters;
  const assay_device_parameter* parameters;
} assay_device_launch;

typedef struct {
  const uint8_t* inputs;
  const uint8_t* weights;
  uint8_t* outputs[2];  // the referee's two blocks, poisoned
  int64_t input_bytes, weight_bytes, output_bytes, scratch_bytes;
  const assay_device_launch* launches;
  int64_t n_launches;
} assay_device_work;

// Loads the driver (libcuda's path), a context on device 0 and the modules (cubins or PTX). 0, or an error that
// `assay_device_message` tells.
int assay_device_open(const char* driver, const void* const* images, int64_t n_images);
// Allocates for calls of this shape, and finds their kernels; `work` must live until the next one.
int assay_device_prepare(const assay_device_work* work);
// Serves calls until a packet comes that is none; returns its length, 0 for a closed channel, -1 after a failed call.
int64_t assay_device_serve(int channel, uint8_t* reply, int64_t reply_bytes, uint8_t* packet, int64_t packet_bytes);
const char* assay_device_message(void);
// Whether kernels can reach all of this process's memory by its host addresses.
int assay_device_reaches_host(void);
}

#endif
