#include "store/blobs/bytes_reader.h"

#include <algorithm>
#include <utility>

namespace strata::store {
namespace {

class BytesReader final : public BlobReader {
 public:
  explicit BytesReader(BlobBytes bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t size() const override { return bytes_.bytes.size(); }
  Result<std::size_t> ReadAt(const Waiting&, std::uint64_t offset, MutableByteSpan out) override {
    const ByteSpan found = From(offset, out.size());
    std::ranges::copy(found, out.begin());
    return found.size();
  }
  Result<BlobBytes> Pin(const Waiting&, std::uint64_t offset, std::size_t length) override {
    return BlobBytes{From(offset, length), bytes_.pin};
  }

 private:
  ByteSpan From(std::uint64_t offset, std::size_t length) const {
    if (offset >= bytes_.bytes.size()) return {};
    const ByteSpan rest = bytes_.bytes.subspan(static_cast<std::size_t>(offset));
    return rest.first(std::min(length, rest.size()));
  }

  const BlobBytes bytes_;
};

}  // namespace

std::shared_ptr<BlobReader> ReadBytes(BlobBytes bytes) { return std::make_shared<BytesReader>(std::move(bytes)); }

}  // namespace strata::store
