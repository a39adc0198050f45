#include "tests/bench/send_queue.h"

#include <endian.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace nfsbench {
namespace {
constexpr int kMostPieces = 64;
constexpr std::size_t kCompactAbove = 1u << 20;
}  // namespace

std::size_t SendQueue::BeginRecord() {
  const std::size_t begin = buffer_.size();
  buffer_.append(4, '\0');
  return begin;
}

void SendQueue::EndRecord(std::size_t begin, std::size_t spliced) {
  const std::uint32_t mark = htobe32(0x80000000u | static_cast<std::uint32_t>(buffer_.size() - begin - 4 + spliced));
  std::memcpy(&buffer_[begin], &mark, 4);
}

bool SendQueue::Flush(int fd) {
  while (!empty()) {
    iovec pieces[kMostPieces];
    int count = 0;
    std::size_t position = sent_;
    std::size_t skip = first_payload_sent_;
    for (const Payload& payload : payloads_) {
      if (count + 2 > kMostPieces) break;
      if (position < payload.at) pieces[count++] = {&buffer_[position], payload.at - position};
      position = payload.at;
      pieces[count++] = {const_cast<char*>(payload.data) + skip, payload.length - skip};
      skip = 0;
    }
    const bool all_payloads = payloads_.empty() || position == payloads_.back().at;
    if (all_payloads && count < kMostPieces && position < buffer_.size()) {
      pieces[count++] = {&buffer_[position], buffer_.size() - position};
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<std::size_t>(count);
    const ssize_t written = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) return errno == EAGAIN || errno == EINTR;
    Advance(static_cast<std::size_t>(written));
  }
  return true;
}

void SendQueue::Advance(std::size_t bytes) {
  std::size_t done = 0;
  while (bytes > 0) {
    if (done == payloads_.size()) {
      sent_ += bytes;
      break;
    }
    const std::size_t before = payloads_[done].at - sent_;
    if (bytes < before) {
      sent_ += bytes;
      break;
    }
    sent_ += before;
    bytes -= before;
    const std::size_t left = payloads_[done].length - first_payload_sent_;
    if (bytes < left) {
      first_payload_sent_ += bytes;
      break;
    }
    bytes -= left;
    first_payload_sent_ = 0;
    ++done;
  }
  payloads_.erase(payloads_.begin(), payloads_.begin() + static_cast<std::ptrdiff_t>(done));
  if (empty()) {
    buffer_.clear();
    sent_ = 0;
  } else if (sent_ > kCompactAbove && payloads_.empty()) {
    buffer_.erase(0, sent_);
    sent_ = 0;
  }
}

}  // namespace nfsbench
