#include "store/objects/stat.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "store/blobs/chunk_list.h"
#include "store/objects/closure_object.h"
#include "store/objects/zstd.h"

namespace strata::store {
namespace {

// Counts the objects of a folder by what can be learned of each.
class ObjectCounter {
 public:
  ObjectCounter(ObjectBucket& bucket, pack::StoreStat& stat, const std::function<bool()>& step)
      : bucket_(bucket), stat_(stat), step_(step) {}

  Result<void> CountFolder(const std::string& folder, pack::RecordKind kind) {
    Result<void> counted;
    STRATA_TRY(bucket_.List({}, folder, [&](std::string_view key) {
      if (step_ && !step_()) {
        counted = Fail(Errc::kInvalid, "stopped");
        return false;
      }
      auto object = bucket_.Open({}, std::string(key));
      if (object && *object) Count(std::string(key), std::move(*object), kind);
      return true;
    }));
    return counted;
  }

 private:
  void Count(const std::string& key, std::unique_ptr<ObjectReader> object, pack::RecordKind kind) {
    pack::StoreStat::Kind& sum = stat_.kinds[static_cast<std::size_t>(kind)];
    sum.stored += object->size();
    if (kind == pack::RecordKind::kDirectory) {
      ClosureReader reader(std::move(object));
      while (true) {
        const auto frame = reader.Next({});
        if (!frame || !*frame) return;
        ++sum.records;
        sum.raw += (*frame)->size();
      }
    }
    ++sum.records;
    sum.raw += kind == pack::RecordKind::kList ? object->size() : ContentOf(key, *object);
  }

  std::uint64_t ContentOf(const std::string& key, ObjectReader& object) {
    std::array<std::byte, kZstdHeaderBytes> head{};
    const auto got = object.ReadAt({}, 0, head);
    if (!got) return 0;
    if (const auto size = ZstdContentSize(ByteSpan(head).first(*got))) return std::min(*size, kMaxChunkBytes);
    const auto whole = bucket_.Get({}, key, 2 * kMaxChunkBytes);
    if (!whole || !*whole) return 0;
    const auto content = ZstdDecompress(**whole, kMaxChunkBytes);
    return content ? content->size() : 0;
  }

  ObjectBucket& bucket_;
  pack::StoreStat& stat_;
  const std::function<bool()>& step_;
};

}  // namespace

Result<pack::StoreStat> StatObjects(ObjectBucket& bucket, DirectoryService& directories, RootNodes& roots,
                                    const pack::StatOptions& options) {
  pack::StoreStat stat;
  ObjectCounter counter(bucket, stat, options.step);
  STRATA_TRY(counter.CountFolder("chunks", pack::RecordKind::kChunk));
  STRATA_TRY(counter.CountFolder("blobs", pack::RecordKind::kList));
  STRATA_TRY(counter.CountFolder("dirs", pack::RecordKind::kDirectory));
  STRATA_TRY(pack::CountNames(roots, directories, options, stat));
  return stat;
}

}  // namespace strata::store
