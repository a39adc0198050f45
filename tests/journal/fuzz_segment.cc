// Arbitrary bytes as the first two segments of a journal. The first byte says how they are dressed: 1, a valid header
// is put before the first segment, 2, before the second; 4, the checksums of what looks like a frame are put right, so
// that the fuzzer gets past them. The next two say where the second segment begins. What opens must be readable to its
// end, take a record, and give it back.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

#include "base/hash.h"
#include "journal/format.h"
#include "journal/journal.h"

namespace {

using namespace strata;
using namespace strata::journal;

constexpr std::uint64_t kSegment = 4096;
constexpr std::uint64_t kVolume = 42;
constexpr std::uint32_t kSalt = 7;

struct Folder {
  Folder() {
    if (::mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Folder() {
    for (std::uint64_t k = 0; k < 4; ++k) std::remove((path + "/" + SegmentName(k)).c_str());
    std::remove((path + "/lock").c_str());
    ::rmdir(path.c_str());
  }
  // In memory where that can be had: each input costs a few syncs.
  std::string path = std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/strata-fuzz-XXXXXX";
};

void RepairFrames(std::string& segment, std::uint64_t base) {
  for (std::size_t at = kSegmentHeaderBytes; at + kFrameBytes <= segment.size();) {
    auto* bytes = reinterpret_cast<std::byte*>(segment.data()) + at;
    Frame frame;
    frame.head_size = LoadLe<std::uint32_t>(bytes + 4) % 512;
    frame.payload_size = LoadLe<std::uint32_t>(bytes + 8) % 4096;
    frame.position = base + at;
    frame.durable = LoadLe<std::uint64_t>(bytes + 28);
    if (AsText(ByteSpan(bytes, 4)) != "STJR" || frame.RecordBytes() > segment.size() - at) return;
    frame.head_crc = Crc32c(ByteSpan(bytes + kFrameBytes, frame.head_size));
    frame.payload_crc = Crc32c(ByteSpan(bytes + kFrameBytes + frame.head_size, frame.payload_size));
    EncodeFrame(frame, kSalt, bytes);
    at += frame.RecordBytes();
  }
}

void PutHeader(std::string& segment, std::uint64_t index, std::uint64_t previous_end) {
  SegmentHeader header{.salt = kSalt,
                       .volume_id = kVolume,
                       .index = index,
                       .segment_size = kSegment,
                       .previous_end = previous_end,
                       .durable = kSegmentHeaderBytes};
  const auto bytes = EncodeSegmentHeader(header);
  segment.insert(0, AsText(bytes));
}

int CountRecords(Journal& journal) {
  int count = 0;
  Lsn at{0};
  while (true) {
    auto next = journal.Next(at);
    if (!next) return -1;
    if (!*next) return count;
    if ((*next)->end <= at) std::abort();
    const auto head = journal.NextHead(at);
    if (!head || !*head || (*head)->begin != (*next)->begin || (*head)->end != (*next)->end) std::abort();
    at = (*next)->end;
    ++count;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3 || size > 3 * kSegment) return 0;
  const unsigned dress = data[0];
  const std::size_t split = std::min<std::size_t>(data[1] | data[2] << 8, size - 3);
  const std::string rest(reinterpret_cast<const char*>(data) + 3, size - 3);
  std::array<std::string, 2> segments{rest.substr(0, split), rest.substr(split)};
  if ((dress & 1) != 0) PutHeader(segments[0], 0, 0);
  if ((dress & 2) != 0) PutHeader(segments[1], 1, segments[0].size());
  if ((dress & 4) != 0) {
    RepairFrames(segments[0], 0);
    RepairFrames(segments[1], kSegment);
  }
  const Folder folder;
  for (std::uint64_t k = 0; k < 2; ++k) {
    if (k == 1 && segments[1].empty()) continue;
    std::ofstream(folder.path + "/" + SegmentName(k), std::ios::binary) << segments[k];
  }
  JournalOptions options{.segment_size = kSegment, .read_only = true, .volume_id = kVolume};
  int before = 0;
  if (auto viewer = Journal::Open(Env::System(), folder.path, options)) before = CountRecords(**viewer);
  options.read_only = false;
  auto journal = Journal::Open(Env::System(), folder.path, options);
  if (!journal) return 0;
  const int found = CountRecords(**journal);
  if (found < 0) return 0;  // damage in a segment that was promised to be sound
  if (found != before) std::abort();
  if (!(*journal)->Append(AsBytes("head"), AsBytes("payload"))) std::abort();
  if (CountRecords(**journal) != found + 1) std::abort();
  journal->reset();
  journal = Journal::Open(Env::System(), folder.path, options);
  if (!journal || CountRecords(**journal) != found + 1) std::abort();
  return 0;
}
