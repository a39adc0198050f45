// What the tests of layers over a store share: trees made in memory from lists, services that fail when they are told
// to, and the lines of the log.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env.h"
#include "store/blobs/memory.h"
#include "store/castore/memory_directories.h"
#include "store/castore/simple_roots.h"
#include "tests/vfs/layer/layer_testing.h"
#include "vfs/layer/castore/castore_layer.h"

namespace strata::vfs {

using NamedNodes = std::vector<std::pair<std::string, store::Node>>;

// A store in memory.
struct MemoryStore {
  std::shared_ptr<store::MemoryBlobService> blobs = std::make_shared<store::MemoryBlobService>();
  std::shared_ptr<store::MemoryDirectoryService> directories = std::make_shared<store::MemoryDirectoryService>();

  store::Node PutFile(std::string_view content, bool executable = false);
  // The node of the directory, with the size that is computed by `rule`.
  store::Node PutDirectory(NamedNodes entries, store::SizeRule rule = store::SizeRule::kDocumented);
  // The same with a size of its own.
  store::Node PutDirectorySized(NamedNodes entries, std::uint64_t size);
};

enum class Keep : std::uint8_t {
  kNodes,  // what castore can say
  kAll,    // and the rest, in a blob of attributes
};

struct StoredTree {
  MemoryStore store;
  store::Root root;
};

// What the entries say (MemoryEntry, without whiteouts), as an import makes it. With kNodes no entry may be a hard link
// or special.
StoredTree StoreTree(const std::vector<MemoryEntry>& entries, Keep keep = Keep::kNodes,
                     store::SizeRule rule = store::SizeRule::kDocumented);
store::Root StoreRoot(MemoryStore& store, const std::vector<MemoryEntry>& entries, Keep keep, store::SizeRule rule);

// Fails the test where it cannot be opened.
std::unique_ptr<Layer> OpenStored(const StoredTree& tree, const CastoreOptions& options = {});
std::unique_ptr<Layer> OpenNode(const MemoryStore& store, const store::Node& root, const CastoreOptions& options = {});
std::unique_ptr<Layer> OpenWith(std::shared_ptr<store::BlobService> blobs,
                                std::shared_ptr<store::DirectoryService> directories, const store::Root& root,
                                const CastoreOptions& options = {});

// Directories of another service, after a hook that may answer in its place.
class HookedDirectories final : public store::DirectoryService {
 public:
  using Answer = Result<std::optional<store::Directory>>;
  explicit HookedDirectories(std::shared_ptr<store::DirectoryService> inner) : inner_(std::move(inner)) {}
  Answer Get(const Waiting& waiting, const store::Digest& digest) override {
    ++gets;
    if (hook) {
      if (auto answer = hook(waiting, digest)) return *answer;
    }
    return inner_->Get(waiting, digest);
  }
  std::string Describe() const override { return "hooked:directories"; }

  std::function<std::optional<Answer>(const Waiting&, const store::Digest&)> hook;
  std::atomic<int> gets{0};

 private:
  const std::shared_ptr<store::DirectoryService> inner_;
};

// The same of blobs. `read_hook`: before each read of an open one.
class HookedBlobs final : public store::BlobService, public std::enable_shared_from_this<HookedBlobs> {
 public:
  using Answer = Result<std::shared_ptr<store::BlobReader>>;
  explicit HookedBlobs(std::shared_ptr<store::BlobService> inner) : inner_(std::move(inner)) {}
  Result<bool> Has(const Waiting& waiting, const store::Digest& digest) override {
    return inner_->Has(waiting, digest);
  }
  Answer Open(const Waiting& waiting, const store::Digest& digest) override;
  std::string Describe() const override { return "hooked:blobs"; }

  std::function<std::optional<Answer>(const Waiting&, const store::Digest&)> hook;
  std::function<Result<void>(const Waiting&, const store::Digest&)> read_hook;
  std::atomic<int> opens{0};

 private:
  class Reader;
  const std::shared_ptr<store::BlobService> inner_;
};

// Cuts the blobs of another service into chunks of `size` bytes, in memory, and opens them by those.
class ChunkedBlobs final : public store::BlobService, public std::enable_shared_from_this<ChunkedBlobs> {
 public:
  explicit ChunkedBlobs(std::size_t size) : size_(size) {}
  Result<bool> Has(const Waiting& waiting, const store::Digest& digest) override;
  Result<std::shared_ptr<store::BlobReader>> Open(const Waiting& waiting, const store::Digest& digest) override;
  Result<store::Digest> Put(ByteSpan blob) override;
  std::string Describe() const override { return "chunked:"; }
  // As if it had never been there.
  void Forget(const store::Digest& chunk) { forgotten_ = chunk; }
  const store::ChunkList& ChunksOf(const store::Digest& blob) { return lists_[blob]; }

 private:
  const std::size_t size_;
  std::shared_ptr<store::MemoryBlobService> chunks_ = std::make_shared<store::MemoryBlobService>();
  std::map<store::Digest, store::ChunkList> lists_;
  std::optional<store::Digest> forgotten_;
};

// The lines that are written while it lives.
class CapturedLog {
 public:
  CapturedLog();
  ~CapturedLog();
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  std::vector<std::string> lines() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

// What references and copies a sink was given.
class CountingSink final : public ReadSink {
 public:
  MutableByteSpan Allocate(std::size_t size) override {
    copied += size;
    scratch_.resize(size);
    return std::as_writable_bytes(std::span(scratch_));
  }
  void Trim(std::size_t size) override { copied -= size; }
  void Reference(ByteSpan bytes, std::shared_ptr<const void> pin) override {
    pieces.push_back({bytes, std::move(pin)});
  }
  void Zeros(std::size_t size) override { copied += size; }
  std::string text() const {
    std::string all;
    for (const auto& piece : pieces) all += AsText(piece.bytes);
    return all;
  }

  std::size_t copied = 0;
  std::vector<store::BlobBytes> pieces;

 private:
  std::string scratch_;
};

// Where a TempFolder lies in memory, if the host has that: for tests that sync a lot.
std::string FolderInMemory();

inline LayerNode Bare(std::uint64_t id) { return {id, 0}; }
// The errors of all calls that a node can be asked.
std::vector<Errc> ErrorsOf(Layer& layer, const LayerNode& node);

}  // namespace strata::vfs
