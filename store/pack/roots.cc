#include "store/pack/roots.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "store/castore/names.h"
#include "store/castore/root_message.h"
#include "store/locked_file.h"
#include "store/pack/closure_walk.h"

namespace strata::store::pack {
namespace {

// What a collection does to one pack is over in less.
constexpr auto kMostWaiting = std::chrono::seconds(120);
constexpr auto kLookEvery = std::chrono::milliseconds(20);

// Waits until the packs that a collection has condemned by now are gone, or are condemned no more.
Result<void> WaitForCollection(Engine& engine) {
  Env& env = engine.env();
  const auto deadline = std::chrono::steady_clock::now() + kMostWaiting;
  Mutex mutex;
  CondVar never;
  STRATA_ASSIGN(const auto condemned, env.ListDirectory(engine.layout().condemned()));
  while (true) {
    STRATA_ASSIGN(const auto marks, env.ListDirectory(engine.layout().condemned()));
    if (std::ranges::find_first_of(marks, condemned) == marks.end()) return {};
    STRATA_ASSIGN(const bool running, CollectionIsRunning(env, engine.layout()));
    if (!running) return {};
    if (std::chrono::steady_clock::now() > deadline) {
      return Fail(Errc::kBusy, engine.Describe() + ": a garbage collection is at work; try again later");
    }
    const MutexLock lock(mutex);
    (void)never.WaitUntil(mutex, std::chrono::steady_clock::now() + kLookEvery);
  }
}

Result<void> SyncNames(Engine& engine) {
  auto synced = engine.env().SyncDirectory(engine.layout().roots());
  if (synced) return synced;
  return engine.catalog().failure().Set(
      synced.error().WithContext("make the names of " + engine.Describe() + " durable"));
}

Result<void> WriteRootFile(Engine& engine, const std::string& path, ByteSpan bytes) {
  Env& env = engine.env();
  const std::string temporary = engine.layout().NewTemporary(env);
  auto written = [&]() -> Result<void> {
    STRATA_ASSIGN(const auto file, CreateLocked(env, temporary));
    const ByteSpan pieces[] = {bytes};
    STRATA_TRY(file->WriteAt(0, pieces));
    STRATA_TRY(file->SyncData());
    return env.Rename(temporary, path);
  }();
  if (!written) {
    (void)env.Remove(temporary);
    return Fail(written.error().WithContext("set a name in " + engine.Describe()));
  }
  return SyncNames(engine);
}

}  // namespace

Result<std::optional<Root>> PackRoots::Get(const Waiting& waiting, std::string_view name) {
  if (!NodeNameFault(name).empty()) return std::nullopt;
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  const std::string path = PathOf(name);
  auto content = ReadWholeFile(engine_.env(), path, kMaxRootBytes);
  if (!content && content.error().code() == Errc::kNotFound) return std::nullopt;
  if (!content) return Fail(content.error());
  auto root = ParseRoot(AsBytes(*content));
  if (!root) return Fail(root.error().WithContext(path + ", which must be set anew or removed"));
  return *std::move(root);
}

Result<void> PackRoots::List(const Waiting& waiting,
                             const std::function<bool(std::string_view name, const Root& root)>& visit) {
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(auto names, engine_.env().ListDirectory(engine_.layout().roots()));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    STRATA_ASSIGN(const auto root, Get(waiting, name));
    if (root && !visit(name, *root)) return {};
  }
  return {};
}

Result<void> PackRoots::Set(std::string_view name, const Root& root) {
  STRATA_TRY(engine_.CheckWritable());
  STRATA_TRY(CheckNodeName(name));
  STRATA_TRY(engine_.Sync());
  STRATA_ASSIGN(const bool before_running, CollectionIsRunning(engine_.env(), engine_.layout()));
  const std::uint64_t mark = engine_.catalog().changes().Look();
  const std::string path = PathOf(name);
  auto before = ReadWholeFile(engine_.env(), path, kMaxRootBytes);
  if (!before && before.error().code() != Errc::kNotFound) return Fail(before.error());
  STRATA_TRY(WriteRootFile(engine_, path, EncodeRoot(root)));
  // A collection that begins now sees the name. One that was at work meanwhile may have looked at the names before:
  // what it condemned is waited for, and then looked whether all is still there. If it has ended, packs have changed.
  STRATA_ASSIGN(const bool running, CollectionIsRunning(engine_.env(), engine_.layout()));
  if (!running && !before_running && engine_.catalog().changes().Look() == mark) return {};
  STRATA_TRY(WaitForCollection(engine_));
  const auto whole = CheckIsThere(root);
  if (whole) return {};
  if (before) {
    STRATA_TRY(WriteRootFile(engine_, path, AsBytes(*before)));
  } else {
    STRATA_TRY(Remove(name));
  }
  return Fail(Errc::kNotFound, "set " + QuoteName(name) + ": a garbage collection has just removed some of it (" +
                                   std::string(whole.error().message()) + "); import it again");
}

Result<void> PackRoots::CheckIsThere(const Root& root) {
  // What was known before the collection may be gone.
  STRATA_TRY(engine_.catalog().Reload());
  ClosureWalk walk(engine_);
  STRATA_TRY(walk.AddRoot(root));
  return walk.CheckWhole();
}

Result<void> PackRoots::Remove(std::string_view name) {
  STRATA_TRY(engine_.CheckWritable());
  STRATA_TRY(CheckNodeName(name));
  auto removed = engine_.env().Remove(PathOf(name));
  if (!removed && removed.error().code() == Errc::kNotFound) {
    return Fail(Errc::kNotFound, engine_.Describe() + " has no name " + QuoteName(name));
  }
  STRATA_TRY(removed);
  return SyncNames(engine_);
}

}  // namespace strata::store::pack
