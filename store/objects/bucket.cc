#include "store/objects/bucket.h"

namespace strata::store {

Result<std::optional<std::vector<std::byte>>> ObjectBucket::Get(const Waiting& waiting, const std::string& key,
                                                                std::size_t limit) {
  STRATA_ASSIGN(const auto reader, Open(waiting, key));
  if (!reader) return std::nullopt;
  if (reader->size() > limit) {
    return Fail(Errc::kCorrupt, DescribeObject(key) + " has " + std::to_string(reader->size()) +
                                    " bytes, and at most " + std::to_string(limit) +
                                    " can be meant; remove it and import what it was part of again");
  }
  std::vector<std::byte> bytes(reader->size());
  STRATA_ASSIGN(const std::size_t got, reader->ReadAt(waiting, 0, bytes));
  bytes.resize(got);
  return bytes;
}

Result<void> ObjectBucket::PutIfAbsent(const std::string& key, ObjectRank, ByteSpan) {
  return Fail(Errc::kReadOnly, "put " + key + " into " + Describe() + ": it is open for reading only");
}

Result<std::unique_ptr<ObjectWriter>> ObjectBucket::Create(const std::string& key, ObjectRank) {
  return Fail(Errc::kReadOnly, "put " + key + " into " + Describe() + ": it is open for reading only");
}

Result<void> ObjectBucket::Replace(const std::string& key, ObjectRank, ByteSpan) {
  return Fail(Errc::kReadOnly, "put " + key + " into " + Describe() + ": it is open for reading only");
}

Result<bool> ObjectBucket::Remove(const std::string& key) {
  return Fail(Errc::kReadOnly, "remove " + key + " from " + Describe() + ": it is open for reading only");
}

Result<void> ObjectBucket::Sync() { return {}; }

Result<void> CheckObjectKey(std::string_view key) {
  constexpr std::size_t kLongestComponent = 255;
  for (std::size_t begin = 0; begin <= key.size();) {
    const std::size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view component = key.substr(begin, end - begin);
    if (component.empty() || component == "." || component == ".." || component.size() > kLongestComponent ||
        component.contains('\0')) {
      return Fail(Errc::kInvalid, "\"" + std::string(key) + "\" cannot be the key of an object");
    }
    begin = end + 1;
  }
  return {};
}

}  // namespace strata::store
