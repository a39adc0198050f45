// Arbitrary bytes as an attribute blob: all that it says of its nodes and entries can be asked for, and is refused or
// lies within what it may be.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "store/castore/attributes.h"

namespace {

using namespace strata::store;

class SpanReader final : public BlobReader {
 public:
  explicit SpanReader(strata::ByteSpan bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  strata::Result<std::size_t> ReadAt(const strata::Waiting&, std::uint64_t offset,
                                     strata::MutableByteSpan out) override {
    if (offset >= bytes_.size()) return 0;
    const std::size_t size = std::min<std::size_t>(out.size(), bytes_.size() - offset);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), size, out.begin());
    return size;
  }

 private:
  const strata::ByteSpan bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attributes_format;
  std::vector<std::byte> bytes(size);
  std::copy_n(reinterpret_cast<const std::byte*>(data), size, bytes.begin());
  Digest root;
  if (size >= kHeaderBytes) {
    // The checksum of the header is made right, so that what lies behind it is reached.
    std::fill_n(bytes.begin() + 12, 4, std::byte{0});
    strata::StoreLe(&bytes[12], strata::Crc32c(strata::ByteSpan(bytes).first(kHeaderBytes)));
    std::copy_n(bytes.begin() + 48, Digest::kSize, root.bytes.begin());
  }
  const auto reader = AttributesReader::Open({}, std::make_shared<SpanReader>(bytes), root);
  if (!reader) return 0;
  const AttributesReader& attributes = **reader;
  if (attributes.nodes() > size || attributes.specials() > size) std::abort();
  for (std::uint64_t i = 0; i <= attributes.nodes(); ++i) {
    const auto got = attributes.Get({}, i);
    if (!got) continue;
    if (i == attributes.nodes() || got->first_link > i) std::abort();
    if (got->first_special + got->specials > attributes.specials()) std::abort();
    const auto xattrs = attributes.Xattrs({}, got->xattrs_at, got->xattrs_size);
    if (xattrs) {
      const auto again = EncodeXattrs(*xattrs);
      if (!again || again->size() != got->xattrs_size) std::abort();
    }
  }
  for (std::uint64_t i = 0; i <= attributes.specials(); ++i) {
    const auto special = attributes.Special({}, i);
    if (!special) continue;
    if (i == attributes.specials() || special->parent >= attributes.nodes() || special->name.empty()) std::abort();
    (void)attributes.Xattrs({}, special->xattrs_at, special->xattrs_size);
  }
  return 0;
}
