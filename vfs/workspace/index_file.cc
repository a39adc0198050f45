#include "vfs/workspace/index_file.h"

#include <algorithm>

namespace strata::vfs {
namespace {

constexpr std::size_t kDamagedIndexesKept = 3;

std::string MarkPath(const std::string& workspace) { return workspace + "/index.rebuild"; }

Result<void> RemoveIfThere(Env& env, const std::string& path) {
  auto removed = env.Remove(path);
  if (!removed && removed.error().code() != Errc::kNotFound) return removed;
  return {};
}

}  // namespace

void RemoveCheckIndex(Env& env, const std::string& path) {
  for (const char* which : {"", ".copy"}) {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) (void)env.Remove(path + which + suffix);
  }
}

Result<void> MakeRoomForDamaged(Env& env, const std::string& file, std::size_t most) {
  const auto name = [&](std::size_t n) {
    return n == 1 ? DamagedName(file) : DamagedName(file) + "." + std::to_string(n);
  };
  std::size_t kept = 0;
  while (kept < most && env.Open(name(kept + 1), OpenMode::kRead)) ++kept;
  for (std::size_t n = std::min(kept, most - 1); n > 0; --n) STRATA_TRY(env.Rename(name(n), name(n + 1)));
  return {};
}

Result<void> MoveIndexAside(Env& env, const std::string& workspace) {
  const std::string file = IndexPath(workspace);
  if (env.Open(file, OpenMode::kRead)) STRATA_TRY(MakeRoomForDamaged(env, file, kDamagedIndexesKept));
  if (auto moved = env.Rename(file, DamagedIndexPath(workspace)); !moved && moved.error().code() != Errc::kNotFound)
    return moved;
  STRATA_TRY(RemoveIfThere(env, file + "-wal"));
  STRATA_TRY(RemoveIfThere(env, file + "-shm"));
  STRATA_TRY(env.SyncDirectory(workspace));
  // Last: until then the index that is there is not taken for a good one.
  STRATA_TRY(RemoveIfThere(env, MarkPath(workspace)));
  return env.SyncDirectory(workspace);
}

Result<void> MarkIndexDamaged(Env& env, const std::string& workspace) {
  STRATA_ASSIGN(const auto file, env.Open(MarkPath(workspace), OpenMode::kCreate));
  return env.SyncDirectory(workspace);
}

bool IsIndexMarkedDamaged(Env& env, const std::string& workspace) {
  return env.Open(MarkPath(workspace), OpenMode::kRead).has_value();
}

}  // namespace strata::vfs
