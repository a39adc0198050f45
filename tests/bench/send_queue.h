// Bytes on their way out of a socket: small ones copied, large payloads spliced in from where they lie; all of it
// leaves in gathered writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nfsbench {

class SendQueue {
 public:
  // Where headers and small payloads are appended.
  std::string& buffer() { return buffer_; }
  // Puts `length` bytes behind what the buffer holds now. They must live until they are sent.
  void Splice(const char* data, std::size_t length) { payloads_.push_back({buffer_.size(), data, length}); }
  bool empty() const { return sent_ >= buffer_.size() && payloads_.empty(); }

  // Writes what the socket takes, without waiting; false on an error other than that it is full (errno tells).
  bool Flush(int fd);

  // The start of a record (RFC 5531 record marking) and its end, where its length is filled in; `spliced` counts its
  // bytes that are spliced.
  std::size_t BeginRecord();
  void EndRecord(std::size_t begin, std::size_t spliced);

 private:
  struct Payload {
    std::size_t at;  // position in buffer_ that it comes before
    const char* data;
    std::size_t length;
  };

  void Advance(std::size_t bytes);

  std::string buffer_;
  std::size_t sent_ = 0;  // of buffer_
  std::vector<Payload> payloads_;
  std::size_t first_payload_sent_ = 0;
};

}  // namespace nfsbench
