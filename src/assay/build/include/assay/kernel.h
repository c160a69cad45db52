// The contract between Assay and a C++ candidate.
//
//   #include <assay/kernel.h>
//   extern "C" int assay_kernel(const assay_call* call) {
//     const float* x = assay_in<float>(call, 0);
//     float* y = assay_out<float>(call, 0);
//     ...
//     return 0;                        // anything else: the candidate refuses this call
//   }
//
// Inputs and weights are read-only memory: writing to them is a segmentation fault. Outputs are allocated by the
// referee and hold random bytes before each call; every element must be written. Strides are in elements. Tensors
// are aligned to 64 bytes. A candidate must handle every shape that the task's declared axes allow.
#ifndef ASSAY_KERNEL_H
#define ASSAY_KERNEL_H

#include <stdint.h>

#define ASSAY_ABI_VERSION 1
#define ASSAY_MAX_DIMS 8

typedef enum {
  ASSAY_FLOAT32 = 1,
  ASSAY_FLOAT64 = 2,
  ASSAY_FLOAT16 = 3,
  ASSAY_BFLOAT16 = 4,
  ASSAY_INT8 = 5,
  ASSAY_INT16 = 6,
  ASSAY_INT32 = 7,
  ASSAY_INT64 = 8,
  ASSAY_UINT8 = 9,
  ASSAY_BOOL = 10
} assay_dtype;

typedef struct {
  void* data;
  int64_t shape[ASSAY_MAX_DIMS];
  int64_t stride[ASSAY_MAX_DIMS];
  int64_t numel;
  int32_t ndim;
  int32_t dtype;
} assay_tensor;

typedef struct {
  int32_t abi_version;
  int32_t n_threads;  // threads that the task grants; use no more
  int32_t n_inputs;   // tensor arguments of the reference's forward, in order
  int32_t n_weights;  // its state_dict's tensors, in order
  int32_t n_outputs;
  int32_t n_scalars;  // non-tensor arguments of forward (int, float, bool), in order
  const assay_tensor* inputs;
  const assay_tensor* weights;
  const assay_tensor* outputs;
  const double* scalars;
} assay_call;

typedef int (*assay_kernel_fn)(const assay_call*);

#ifdef __cplusplus
template <typename T>
inline const T* assay_in(const assay_call* call, int i) {
  return static_cast<const T*>(call->inputs[i].data);
}
template <typename T>
inline const T* assay_weight(const assay_call* call, int i) {
  return static_cast<const T*>(call->weights[i].data);
}
template <typename T>
inline T* assay_out(const assay_call* call, int i) {
  return static_cast<T*>(call->outputs[i].data);
}
#endif

#endif
