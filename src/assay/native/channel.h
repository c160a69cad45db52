// The packets that every worker's loop begins with; wire.py lays them out.
#ifndef ASSAY_NATIVE_CHANNEL_H
#define ASSAY_NATIVE_CHANNEL_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace assay {

constexpr int64_t kCallBytes = 24;      // magic, buffer, sequence, seed
constexpr int64_t kReplySequence = 8;   // where a reply has the call's number
constexpr int64_t kReplyDeviceNs = 24;  // and the device's own time

// The next packet's length; 0 for a closed channel, -1 for a call.
inline int64_t receive(int channel, uint8_t* packet, int64_t packet_bytes) {
  ssize_t length = recv(channel, packet, static_cast<size_t>(packet_bytes), 0);
  if (length == kCallBytes && memcmp(packet, "CALL", 4) == 0) return -1;
  return length < 0 ? 0 : length;
}

}  // namespace assay

#endif
