#include "store/objects/closure_object.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "store/castore/closure.h"

namespace strata::store {
namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kFrameStep = 1 << 20;

}  // namespace

Result<bool> ClosureReader::Fill(const Waiting& waiting, std::size_t size) {
  frame_.clear();
  while (frame_.size() < size) {
    const std::size_t had = frame_.size();
    frame_.resize(std::min(size, had + std::max(had, kFrameStep)));
    STRATA_ASSIGN(const std::size_t got, stream_.Read(waiting, MutableByteSpan(frame_).subspan(had)));
    if (had + got == frame_.size()) continue;
    if (had + got == 0) return false;
    return Fail(Errc::kCorrupt, "a frame is cut: it should have " + std::to_string(size) + " bytes and has " +
                                    std::to_string(had + got));
  }
  return true;
}

Result<std::optional<ByteSpan>> ClosureReader::Next(const Waiting& waiting) {
  STRATA_ASSIGN(const bool more, Fill(waiting, kLengthBytes));
  if (!more) return std::nullopt;
  std::size_t length = 0;
  for (const std::byte byte : frame_) length = length << 8 | std::to_integer<std::size_t>(byte);
  if (length > kMaxClosureFrame) {
    return Fail(Errc::kCorrupt, "a frame says that it has " + std::to_string(length) + " bytes, and at most " +
                                    std::to_string(kMaxClosureFrame) + " are read");
  }
  STRATA_ASSIGN(const bool whole, Fill(waiting, length));
  if (!whole) return Fail(Errc::kCorrupt, "a frame is cut behind its length");
  return ByteSpan(frame_);
}

Result<void> ReadWholeClosure(const Digest& root, std::unique_ptr<ObjectReader> object,
                              const std::function<Result<void>(const Directory&)>& visit) {
  RootToLeaves closure(root);
  ClosureReader reader(std::move(object));
  while (true) {
    STRATA_ASSIGN(const auto frame, reader.Next({}));
    if (!frame) break;
    const Digest digest = Digest::Of(*frame);
    if (!closure.Expects(digest)) {
      return Fail(Errc::kCorrupt,
                  "a directory stands in it, " + digest.Text() + ", that none before it names: it is damaged");
    }
    STRATA_ASSIGN(const Directory directory, Directory::Parse(*frame));
    if (directory.digest() != digest) {
      return Fail(Errc::kCorrupt, "the directory " + digest.Text() + " is not in its canonical form");
    }
    STRATA_ASSIGN(const bool is_new, closure.Add(directory));
    if (is_new) STRATA_TRY(visit(directory));
  }
  if (closure.count() == 0) return Fail(Errc::kCorrupt, "no directory stands in it");
  return closure.Finish();
}

Result<void> ClosureWriter::Write(ByteSpan directory) {
  if (directory.size() > kMaxClosureFrame) {
    return Fail(Errc::kFileTooBig, "a directory of " + std::to_string(directory.size()) +
                                       " bytes does not fit into an object store; at most " +
                                       std::to_string(kMaxClosureFrame) + " do");
  }
  std::array<std::byte, kLengthBytes> length{};
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length[i] = static_cast<std::byte>(directory.size() >> (8 * (kLengthBytes - 1 - i)));
  }
  STRATA_TRY(stream_.Write(length));
  return stream_.Write(directory);
}

}  // namespace strata::store
