#include "store/pack/pack_store.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <utility>

#include "store/pack/blobs.h"
#include "store/pack/directories.h"
#include "store/pack/engine.h"
#include "store/pack/roots.h"

namespace strata::store {
namespace {

constexpr std::uint64_t kLeastMemory = 16 << 20;

}  // namespace

struct PackStore::Parts {
  explicit Parts(std::shared_ptr<pack::Engine> opened)
      : engine(std::move(opened)), blobs(*engine), directories(*engine), roots(*engine) {}

  const std::shared_ptr<pack::Engine> engine;
  pack::PackBlobs blobs;
  pack::PackDirectories directories;
  pack::PackRoots roots;
};

Result<std::string> DefaultPackStorePath() {
  // Nobody changes the environment of a running process of ours.
  const char* data = std::getenv("XDG_DATA_HOME");  // NOLINT(concurrency-mt-unsafe)
  if (data != nullptr && *data == '/') return std::string(data) + "/strata/store";
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  if (home != nullptr && *home == '/') return std::string(home) + "/.local/share/strata/store";
  return Fail(Errc::kInvalid, "neither XDG_DATA_HOME nor HOME says where the default store is; name one (pack:/path)");
}

Result<std::shared_ptr<PackStore>> PackStore::Open(Env& env, const std::string& path, const PackStoreOptions& options) {
  if (path.empty()) return Fail(Errc::kInvalid, "a pack store has no path");
  if (options.list_entries == 0 || options.list_entries > pack::kMaxListEntries) {
    return Fail(Errc::kInvalid, "a chunk list of " + std::to_string(options.list_entries) + " entries");
  }
  STRATA_ASSIGN(Chunker chunker, Chunker::Make(ChunkSizes::OfAverage(options.average_chunk)));
  const pack::Layout layout{path};
  const pack::StoreFormat wanted{.pack_bytes = std::min(options.pack_bytes, pack::kMaxPackBytes)};
  STRATA_ASSIGN(const pack::StoreFormat format,
                pack::OpenLayout(env, layout, options.create && !options.read_only, wanted));
  pack::EngineOptions engine_options{
      .read_only = options.read_only,
      .memory_bytes = std::max(options.memory_bytes, kLeastMemory),
      .chunker = std::move(chunker),
      .list_entries = options.list_entries,
      .threads = options.threads == 0 ? std::max(std::thread::hardware_concurrency(), 1U) : options.threads,
      .holder = options.holder.empty() ? "process " + std::to_string(::getpid()) : options.holder};
  STRATA_ASSIGN(auto engine, pack::Engine::Open(env, layout, format, std::move(engine_options)));
  return std::shared_ptr<PackStore>(new PackStore(std::make_unique<Parts>(std::move(engine))));
}

PackStore::PackStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
PackStore::~PackStore() = default;

std::shared_ptr<BlobService> PackStore::blobs() { return {shared_from_this(), &parts_->blobs}; }
std::shared_ptr<DirectoryService> PackStore::directories() { return {shared_from_this(), &parts_->directories}; }
std::shared_ptr<RootNodes> PackStore::roots() { return {shared_from_this(), &parts_->roots}; }

Result<void> PackStore::Sync() { return parts_->engine->Sync(); }

std::shared_ptr<const void> PackStore::Work() {
  // The session's own hold, and the store that it is part of.
  auto work = parts_->engine->session().Work();
  return std::make_shared<std::pair<std::shared_ptr<PackStore>, std::shared_ptr<const void>>>(shared_from_this(),
                                                                                              std::move(work));
}

std::string PackStore::Describe() const { return parts_->engine->Describe(); }
pack::Engine& PackStore::engine() { return *parts_->engine; }

}  // namespace strata::store
