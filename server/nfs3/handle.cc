#include "server/nfs3/handle.h"

#include "base/hash.h"

namespace strata::nfs3 {
namespace {

constexpr std::byte kVersion{1};
constexpr std::size_t kGenerationAt = 4;
constexpr std::size_t kVolumeAt = 8;
constexpr std::size_t kInodeAt = 16;
constexpr std::size_t kLocatorAt = 24;
constexpr std::size_t kMacAt = 32;
static_assert(kMacAt + 8 == kHandleBytes);

}  // namespace

void EncodeHandle(const vfs::VolumeInfo& volume, const vfs::ObjectId& id, std::byte* out) {
  StoreLe<std::uint32_t>(out, static_cast<std::uint32_t>(kVersion));
  StoreLe(out + kGenerationAt, id.generation.value);
  StoreLe(out + kVolumeAt, volume.id);
  StoreLe(out + kInodeAt, id.ino.value);
  StoreLe(out + kLocatorAt, id.locator);
  StoreLe(out + kMacAt, SipHash24(volume.handle_key, ByteSpan(out, kMacAt)));
}

Result<ResolvedHandle> ResolveHandle(const Exports& exports, ByteSpan handle) {
  if (handle.size() != kHandleBytes || handle[0] != kVersion) return Fail(Errc::kBadHandle);
  ResolvedHandle found;
  found.entry = exports.FindVolume(LoadLe<std::uint64_t>(handle.data() + kVolumeAt));
  if (found.entry == nullptr) return Fail(Errc::kStale);
  // One comparison of two words: it takes the same time wherever they differ.
  const std::uint64_t mac = SipHash24(found.entry->volume->Volume().handle_key, handle.first(kMacAt));
  if (mac != LoadLe<std::uint64_t>(handle.data() + kMacAt)) return Fail(Errc::kBadHandle);
  found.id.generation = Generation(LoadLe<std::uint32_t>(handle.data() + kGenerationAt));
  found.id.ino = InodeNumber(LoadLe<std::uint64_t>(handle.data() + kInodeAt));
  found.id.locator = LoadLe<std::uint64_t>(handle.data() + kLocatorAt);
  return found;
}

}  // namespace strata::nfs3
