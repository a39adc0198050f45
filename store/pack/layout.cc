#include "store/pack/layout.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "store/pack/format.h"

namespace strata::store::pack {
namespace {

constexpr std::string_view kStoreMagic = "STRATAS\n";
constexpr std::uint64_t kLeastPackBytes = 256;

Result<void> MakeFolders(Env& env, const std::string& path) {
  if (env.ListDirectory(path)) return {};
  if (auto made = env.CreateDirectory(path); made || made.error().code() != Errc::kNotFound) return made;
  STRATA_TRY(MakeFolders(env, DirectoryOf(path)));
  STRATA_TRY(env.CreateDirectory(path));
  return env.SyncDirectory(DirectoryOf(path));
}

Result<void> CreateLayout(Env& env, const Layout& layout, const StoreFormat& wanted) {
  STRATA_TRY(MakeFolders(env, layout.root));
  STRATA_ASSIGN(const auto names, env.ListDirectory(layout.root));
  // What a creation that was broken off leaves is taken over.
  const std::string_view ours[] = {"packs", "roots", "leases", "condemned", "tmp", "changes", "strata-store.new"};
  for (const std::string& name : names) {
    if (std::ranges::find(ours, name) == std::end(ours)) {
      return Fail(Errc::kNotEmpty, "make a store in " + layout.root + ": the folder holds something else (" + name +
                                       "); name an empty folder, or one that does not exist");
    }
  }
  for (const std::string& folder :
       {layout.packs(), layout.roots(), layout.leases(), layout.condemned(), layout.temporary()}) {
    STRATA_TRY(env.CreateDirectory(folder));
  }
  ChangeMark(env, layout.changes()).Put();
  STRATA_TRY(env.SyncDirectory(layout.root));
  const auto bytes = EncodeStoreFormat(wanted);
  return ReplaceFile(env, layout.format(), AsText(bytes));
}

}  // namespace

std::string Layout::NewTemporary(Env& env) const { return temporary() + '/' + Hex16(RandomId(env)); }

std::array<std::byte, 64> EncodeStoreFormat(const StoreFormat& format) {
  std::array<std::byte, 64> bytes{};
  std::ranges::copy(AsBytes(kStoreMagic), bytes.begin());
  StoreLe(bytes.data() + 8, kStoreVersion);
  StoreLe(bytes.data() + 16, format.pack_bytes);
  StoreLe(bytes.data() + 60, Crc32c(ByteSpan(bytes).first(60)));
  return bytes;
}

Result<StoreFormat> DecodeStoreFormat(ByteSpan bytes) {
  if (bytes.size() != 64 || AsText(bytes.first(8)) != kStoreMagic ||
      LoadLe<std::uint32_t>(bytes.data() + 60) != Crc32c(bytes.first(60))) {
    return Fail(Errc::kCorrupt, "it does not check; restore it from a copy, all stores of the same pack size have it");
  }
  const auto version = LoadLe<std::uint16_t>(bytes.data() + 8);
  if (version > kStoreVersion) {
    return Fail(Errc::kNotSupported, "the store is of a newer version; use the program that wrote it");
  }
  const StoreFormat format{.pack_bytes = LoadLe<std::uint64_t>(bytes.data() + 16)};
  if (version == 0 || format.pack_bytes < kLeastPackBytes || format.pack_bytes > kMaxPackBytes) {
    return Fail(Errc::kCorrupt, "it says what cannot be");
  }
  return format;
}

Result<StoreFormat> OpenLayout(Env& env, const Layout& layout, bool create, const StoreFormat& wanted) {
  auto content = ReadWholeFile(env, layout.format(), 64);
  if (!content && content.error().code() == Errc::kNotFound) {
    if (!create) {
      return Fail(Errc::kNotFound, layout.root + " holds no store (" + layout.format() +
                                       " is missing); make one with `strata store init`, or name another folder");
    }
    const auto created = CreateLayout(env, layout, wanted);
    // Where two make it at once, one may fail; what counts is what is there then.
    content = ReadWholeFile(env, layout.format(), 64);
    if (!content && !created) return Fail(created.error());
  }
  if (!content) return Fail(content.error());
  auto format = DecodeStoreFormat(AsBytes(*content));
  if (!format) return Fail(format.error().WithContext(layout.format()));
  return *format;
}

std::uint64_t RandomId(Env& env) {
  std::array<std::byte, 8> bytes{};
  env.Random(bytes);
  return LoadLe<std::uint64_t>(bytes.data());
}

Result<std::uint64_t> ChangeMark::Read(bool may_block) {
  std::shared_ptr<File> file;
  {
    const MutexLock lock(mutex_);
    file = file_;
  }
  if (!file) {
    if (!may_block) return Fail(Errc::kNotFound);
    STRATA_ASSIGN(file, env_.Open(path_, OpenMode::kRead));
    const MutexLock lock(mutex_);
    file_ = file;
  }
  std::array<std::byte, 8> bytes{};
  STRATA_ASSIGN(const std::size_t got, may_block ? file->ReadAt(0, bytes) : file->ReadCached(0, bytes));
  if (got != bytes.size()) return Fail(Errc::kCorrupt, path_ + " has no 8 bytes");
  return LoadLe<std::uint64_t>(bytes.data());
}

std::uint64_t ChangeMark::Look() {
  const auto mark = Read(true);
  return mark ? *mark : RandomId(env_);
}

void ChangeMark::Put() {
  auto file = env_.Open(path_, OpenMode::kCreate);
  if (!file) return;
  std::array<std::byte, 8> bytes{};
  env_.Random(bytes);
  const ByteSpan pieces[] = {bytes};
  (void)(*file)->WriteAt(0, pieces);
}

}  // namespace strata::store::pack
