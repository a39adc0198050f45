#include "tests/vfs/layer/castore/castore_testing.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include "store/blobs/chunked_reader.h"
#include "store/import/attributes_writer.h"
#include "store/import/tree_builder.h"

namespace strata::vfs {
namespace {

// The value, or the end of the test program.
template <typename T>
T Must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().ToString().c_str());
  std::abort();
}
void Must(const Result<void>& result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().ToString().c_str());
  std::abort();
}

store::TreeRecord RecordOf(const MemoryEntry& entry, store::MemoryBlobService& blobs) {
  store::TreeRecord record;
  record.attributes = {.mode = entry.mode, .uid = entry.uid, .gid = entry.gid, .mtime = entry.mtime, .xattrs = {}};
  for (const auto& [name, value] : entry.xattrs) record.attributes.xattrs.push_back({name, value});
  switch (entry.type) {
    case FileType::kDirectory:
      record.node.kind = store::NodeKind::kDirectory;
      break;
    case FileType::kRegular:
      record.node =
          store::Node::OfFile(Must(blobs.Put(AsBytes(entry.content))), entry.content.size(), (entry.mode & 0100) != 0);
      break;
    case FileType::kSymlink:
      record.node = store::Node::OfSymlink(entry.content);
      break;
    default:
      record.kind = store::RecordKind::kSpecial;
      record.type = entry.type;
      record.device = entry.rdev;
  }
  return record;
}

}  // namespace

store::Node MemoryStore::PutFile(std::string_view content, bool executable) {
  return store::Node::OfFile(Must(blobs->Put(AsBytes(content))), content.size(), executable);
}

store::Node MemoryStore::PutDirectory(NamedNodes entries, store::SizeRule rule) {
  const store::Directory made = Must(store::Directory::Make(std::move(entries)));
  return store::Node::OfDirectory(Must(directories->Put(made)), made.Size(rule));
}

store::Node MemoryStore::PutDirectorySized(NamedNodes entries, std::uint64_t size) {
  store::Node node = PutDirectory(std::move(entries));
  node.size = size;
  return node;
}

store::Root StoreRoot(MemoryStore& store, const std::vector<MemoryEntry>& entries, Keep keep, store::SizeRule rule) {
  struct Sorted {
    store::TreeRecord record;
    std::string link_key;
  };
  std::map<std::string, Sorted> sorted;
  const auto key_of = [](std::string path) {
    std::ranges::replace(path, '/', store::kPathSeparator);
    return path;
  };
  // So that the top is the root, however few entries it has.
  sorted[""].record.node.kind = store::NodeKind::kDirectory;
  sorted[""].record.attributes.mode = 0755;
  for (const MemoryEntry& entry : entries) {
    Sorted& made = sorted[key_of(entry.path)];
    if (entry.link_to.empty()) {
      made.record = RecordOf(entry, *store.blobs);
    } else {
      Sorted& first = sorted[key_of(entry.link_to)];
      if (first.link_key.empty()) first.link_key = entry.link_to;
      made = first;
    }
  }
  store::AttributesWriter writer(Env::System(), "/tmp", 16 << 20);
  const auto putter = Must(store.directories->PutMany());
  store::TreeBuilder builder(*putter, rule, keep == Keep::kAll ? &writer : nullptr);
  std::uint64_t order = 0;
  for (auto& [path, made] : sorted) Must(builder.Add(path, ++order, std::move(made.record), made.link_key));
  const store::TreeBuilder::Built built = Must(builder.Finish(false));
  store::Root root{.node = built.root, .attributes = std::nullopt};
  if (keep == Keep::kAll) root.attributes = Must(writer.Finish(built.first_number, built.root.digest, *store.blobs));
  return root;
}

StoredTree StoreTree(const std::vector<MemoryEntry>& entries, Keep keep, store::SizeRule rule) {
  StoredTree tree;
  tree.root = StoreRoot(tree.store, entries, keep, rule);
  return tree;
}

std::unique_ptr<Layer> OpenWith(std::shared_ptr<store::BlobService> blobs,
                                std::shared_ptr<store::DirectoryService> directories, const store::Root& root,
                                const CastoreOptions& options) {
  auto layer = OpenCastoreLayer(std::move(blobs), std::move(directories), root.node, root.attributes, options);
  EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
  return layer ? std::move(*layer) : nullptr;
}

std::unique_ptr<Layer> OpenStored(const StoredTree& tree, const CastoreOptions& options) {
  return OpenWith(tree.store.blobs, tree.store.directories, tree.root, options);
}

std::unique_ptr<Layer> OpenNode(const MemoryStore& store, const store::Node& root, const CastoreOptions& options) {
  return OpenWith(store.blobs, store.directories, {.node = root, .attributes = std::nullopt}, options);
}

class HookedBlobs::Reader final : public store::BlobReader {
 public:
  Reader(std::shared_ptr<HookedBlobs> blobs, std::shared_ptr<store::BlobReader> inner, const store::Digest& digest)
      : blobs_(std::move(blobs)), inner_(std::move(inner)), digest_(digest) {}
  std::uint64_t size() const override { return inner_->size(); }
  Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) override {
    if (blobs_->read_hook) STRATA_TRY(blobs_->read_hook(waiting, digest_));
    return inner_->ReadAt(waiting, offset, out);
  }
  Result<store::BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) override {
    if (blobs_->read_hook) STRATA_TRY(blobs_->read_hook(waiting, digest_));
    return inner_->Pin(waiting, offset, length);
  }

 private:
  const std::shared_ptr<HookedBlobs> blobs_;
  const std::shared_ptr<store::BlobReader> inner_;
  const store::Digest digest_;
};

HookedBlobs::Answer HookedBlobs::Open(const Waiting& waiting, const store::Digest& digest) {
  ++opens;
  if (hook) {
    if (auto answer = hook(waiting, digest)) return *answer;
  }
  auto opened = inner_->Open(waiting, digest);
  if (!opened || !*opened) return opened;
  return std::make_shared<Reader>(shared_from_this(), std::move(*opened), digest);
}

Result<bool> ChunkedBlobs::Has(const Waiting& waiting, const store::Digest& digest) {
  if (lists_.contains(digest)) return true;
  return chunks_->Has(waiting, digest);
}

Result<std::shared_ptr<store::BlobReader>> ChunkedBlobs::Open(const Waiting& waiting, const store::Digest& digest) {
  const auto list = lists_.find(digest);
  if (list != lists_.end() && list->second.size() > 1) {
    return store::OpenChunked(shared_from_this(), digest, list->second);
  }
  if (digest == forgotten_) return nullptr;
  return chunks_->Open(waiting, digest);
}

Result<store::Digest> ChunkedBlobs::Put(ByteSpan blob) {
  store::ChunkList list;
  for (ByteSpan rest = blob; !rest.empty(); rest = rest.subspan(std::min(size_, rest.size()))) {
    const ByteSpan chunk = rest.first(std::min(size_, rest.size()));
    STRATA_ASSIGN(const store::Digest digest, chunks_->Put(chunk));
    list.push_back({digest, chunk.size()});
  }
  const store::Digest digest = store::Digest::Of(blob);
  lists_[digest] = std::move(list);
  return digest;
}

struct CapturedLog::State : spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    lines.emplace_back(message.payload.data(), message.payload.size());
  }
  void flush_() override {}
  std::vector<std::string> Copy() {
    const std::lock_guard lock(mutex_);
    return lines;
  }
  std::vector<std::string> lines;
  std::shared_ptr<spdlog::logger> before;
};

CapturedLog::CapturedLog() : state_(std::make_shared<State>()) {
  state_->before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("captured", state_));
}
CapturedLog::~CapturedLog() { spdlog::set_default_logger(std::move(state_->before)); }
std::vector<std::string> CapturedLog::lines() const { return state_->Copy(); }

std::string FolderInMemory() { return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ""; }

std::vector<Errc> ErrorsOf(Layer& layer, const LayerNode& node) {
  StringSink sink;
  const auto code = [](const auto& result) { return result ? Errc::kServerFault : result.error().code(); };
  return {code(layer.Stat(kBackground, node)),
          code(layer.Lookup(kBackground, node, "a")),
          code(layer.ReadDirectory(kBackground, node, [](const LayerEntry&) { return true; })),
          code(layer.Read(kBackground, node, 0, 10, nullptr, sink)),
          code(layer.ReadLink(kBackground, node)),
          code(layer.PathOf(kBackground, node)),
          code(layer.ListXattr(kBackground, node)),
          code(layer.GetXattr(kBackground, node, "user.a"))};
}

}  // namespace strata::vfs
