// A worker's loop: receive a call, run it, answer; natively, or by one call of Python where that is the side's
// language. Everything else goes back to Python.
//
// It runs in the candidate's own process and need not be believed; it is native because Python's part of a call, with
// its code gone cold while megabytes of inputs landed, took 40 to 90 us and scattered as much.
#include "../build/include/assay/kernel.h"
#include "channel.h"

extern "C" {

// One input of a later step of a chain: `source` rolled into `target` by what the outputs before it fold to.
typedef struct {
  const uint8_t* source;
  uint8_t* target;
  int64_t bytes, element_bytes;
} assay_native_roll;

typedef struct {
  assay_call call;
  const assay_native_roll* rolls;
  const int64_t* output_bytes;  // of each output, holes of the strides included
  int64_t n_rolls;
} assay_native_step;

typedef struct {
  assay_kernel_fn entry;
  const assay_native_step* steps[2];  // for each of the two output blocks
  int64_t n_steps;
  uint8_t* reply;  // complete but for the call's number, at byte 8
  int64_t reply_bytes;
  uint64_t refused_sequence;
  int64_t refused_code;
} assay_native_side;

// Calls the side in Python; returns the length of what it left in the reply, 0 to end.
typedef int64_t (*assay_python_call)(uint64_t sequence, uint64_t seed);
}

namespace {

uint64_t fold(const assay_call& call, const int64_t* output_bytes) {
  uint64_t total = 0;
  for (int i = 0; i < call.n_outputs; i++) {
    const uint8_t* data = static_cast<const uint8_t*>(call.outputs[i].data);
    uint64_t folded = 0, rest = 0, word;
    int64_t whole = output_bytes[i] / 8 * 8;
    for (int64_t at = 0; at < whole; at += 8) {
      memcpy(&word, data + at, 8);
      folded ^= word;
    }
    for (int64_t at = output_bytes[i]; at-- > whole;) rest = rest << 8 | data[at];
    total = total * 31 + (folded ^ rest);
  }
  return total;
}

void roll(const assay_native_roll& one, uint64_t number) {
  int64_t count = one.bytes / one.element_bytes;
  if (count == 0) return;
  unsigned __int128 product = static_cast<unsigned __int128>(number) * 0x9E3779B97F4A7C15u;
  int64_t shift = static_cast<int64_t>((product >> 20) % static_cast<uint64_t>(count)) * one.element_bytes;
  memcpy(one.target + shift, one.source, static_cast<size_t>(one.bytes - shift));
  memcpy(one.target, one.source + one.bytes - shift, static_cast<size_t>(shift));
}

// 0, or what the entry refused with.
int run(const assay_native_side* side, const assay_native_step* steps) {
  for (int64_t step = 0; step < side->n_steps; step++) {
    if (step > 0) {
      uint64_t number = fold(steps[step - 1].call, steps[step - 1].output_bytes);
      for (int64_t i = 0; i < steps[step].n_rolls; i++) roll(steps[step].rolls[i], number);
    }
    if (int code = side->entry(&steps[step].call)) return code;
  }
  return 0;
}

}  // namespace

extern "C" {

// Serves calls until a packet comes that is none, which is left in `packet`: returns its length, 0 for a closed
// channel. -1: the entry refused, see the side's fields; nothing was answered.
int64_t assay_native_serve(int channel, assay_native_side* side, uint8_t* packet, int64_t packet_bytes) {
  for (;;) {
    int64_t length = assay::receive(channel, packet, packet_bytes);
    if (length >= 0) return length;
    uint32_t buffer;
    memcpy(&buffer, packet + 4, 4);
    memcpy(&side->refused_sequence, packet + 8, 8);
    side->refused_code = run(side, side->steps[buffer & 1]);
    if (side->refused_code != 0) return -1;
    memcpy(side->reply + assay::kReplySequence, packet + 8, 8);
    if (send(channel, side->reply, static_cast<size_t>(side->reply_bytes), MSG_NOSIGNAL) < 0) return 0;
  }
}

// The same for a side in Python, which leaves its answer in `reply`.
int64_t assay_native_serve_python(int channel, assay_python_call call, const uint8_t* reply, uint8_t* packet,
                                  int64_t packet_bytes) {
  for (;;) {
    int64_t length = assay::receive(channel, packet, packet_bytes);
    if (length >= 0) return length;
    uint64_t sequence, seed;
    memcpy(&sequence, packet + 8, 8);
    memcpy(&seed, packet + 16, 8);
    length = call(sequence, seed);
    if (length <= 0 || send(channel, reply, static_cast<size_t>(length), MSG_NOSIGNAL) < 0) return 0;
  }
}
}
