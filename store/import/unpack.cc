#include "store/import/unpack.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace strata::store {
namespace {

constexpr std::size_t kReadBytes = 256 << 10;

struct ArchiveCloser {
  void operator()(struct archive* archive) const { ::archive_read_free(archive); }
};

// A stream of one "entry": what is left once the filters are taken off.
class ArchiveSource final : public ByteSource {
 public:
  ArchiveSource(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  Result<void> Open(ByteSpan memory) {
    archive_.reset(::archive_read_new());
    struct archive* const archive = archive_.get();
    if (archive == nullptr) return Fail(Errc::kServerFault, "reading " + name_ + ": libarchive gives no reader");
    for (const auto enable :
         {::archive_read_support_filter_gzip, ::archive_read_support_filter_bzip2, ::archive_read_support_filter_xz,
          ::archive_read_support_filter_zstd, ::archive_read_support_format_raw, ::archive_read_support_format_empty}) {
      if (enable(archive) != ARCHIVE_OK) return Fail(Failure());
    }
    const int opened = fd_ ? ::archive_read_open_fd(archive, fd_.get(), kReadBytes)
                           : ::archive_read_open_memory(archive, memory.data(), memory.size());
    if (opened != ARCHIVE_OK) return Fail(Failure());
    struct archive_entry* entry = nullptr;
    const int first = ::archive_read_next_header(archive, &entry);
    if (first == ARCHIVE_EOF) {
      ended_ = true;
    } else if (first < ARCHIVE_WARN) {
      return Fail(Failure());
    }
    return {};
  }

  Result<std::size_t> Read(MutableByteSpan out) override {
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      if (rest_.empty()) {
        const void* block = nullptr;
        std::size_t size = 0;
        la_int64_t offset = 0;
        const int got = ::archive_read_data_block(archive_.get(), &block, &size, &offset);
        if (got == ARCHIVE_EOF) {
          ended_ = true;
          break;
        }
        if (got < ARCHIVE_WARN) return Fail(Failure());
        rest_ = {static_cast<const std::byte*>(block), size};
        continue;
      }
      const std::size_t size = std::min(rest_.size(), out.size() - done);
      std::memcpy(out.data() + done, rest_.data(), size);
      rest_ = rest_.subspan(size);
      done += size;
    }
    return done;
  }

  std::uint64_t position() const override {
    const la_int64_t bytes = ::archive_filter_bytes(archive_.get(), -1);
    return bytes < 0 ? 0 : static_cast<std::uint64_t>(bytes);
  }

 private:
  Status Failure() const {
    const char* const why = ::archive_error_string(archive_.get());
    const int error = ::archive_errno(archive_.get());
    // EILSEQ, or no number, where the bytes are wrong.
    const Errc code = error > 0 && error != EILSEQ ? ErrcFromErrno(error) : Errc::kInvalid;
    return Status(code, "reading " + name_ + ": " + (why != nullptr ? why : "it cannot be decompressed") +
                            "; it may be damaged or cut: make it anew");
  }

  const UniqueFd fd_;
  const std::string name_;
  std::unique_ptr<struct archive, ArchiveCloser> archive_;
  ByteSpan rest_;
  bool ended_ = false;
};

Result<std::unique_ptr<ByteSource>> OpenSource(UniqueFd fd, ByteSpan memory, std::string name) {
  auto source = std::make_unique<ArchiveSource>(std::move(fd), std::move(name));
  STRATA_TRY(source->Open(memory));
  return source;
}

}  // namespace

Result<std::unique_ptr<ByteSource>> Unpack(UniqueFd fd, std::string name) {
  return OpenSource(std::move(fd), {}, std::move(name));
}
Result<std::unique_ptr<ByteSource>> Unpack(ByteSpan bytes, std::string name) {
  return OpenSource(UniqueFd(), bytes, std::move(name));
}

}  // namespace strata::store
