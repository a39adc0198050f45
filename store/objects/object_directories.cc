#include "store/objects/object_directories.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "store/castore/closure.h"
#include "store/objects/closure_object.h"
#include "store/objects/layout.h"

namespace strata::store {
namespace {

constexpr std::size_t kMostAsked = 64;

// The directories of a stage as a service, for who walks them.
class StagedDirectories final : public DirectoryService {
 public:
  explicit StagedDirectories(SpillStage& stage) : stage_(stage) {}
  Result<std::optional<Directory>> Get(const Waiting&, const Digest& digest) override {
    STRATA_ASSIGN(const auto place, stage_.Find(digest));
    if (!place) return std::nullopt;
    STRATA_ASSIGN(Directory directory, stage_.Read(*place));
    return directory;
  }
  std::string Describe() const override { return "the directories just read"; }

 private:
  SpillStage& stage_;
};

// Root first, then breadth first, each once (CA-42).
Result<void> WriteRootToLeaves(SpillStage& stage, const Digest& root, ClosureWriter& writer) {
  std::deque<SpillPlace> next;
  absl::flat_hash_set<SpillPlace> seen;
  const auto add = [&](const Digest& digest) -> Result<void> {
    STRATA_ASSIGN(const auto place, stage.Find(digest));
    if (!place) return Fail(Errc::kServerFault, "a directory that was put is missing: " + digest.Text());
    if (seen.insert(*place).second) next.push_back(*place);
    return {};
  };
  STRATA_TRY(add(root));
  for (; !next.empty(); next.pop_front()) {
    STRATA_ASSIGN(const Directory directory, stage.Read(next.front()));
    STRATA_TRY(writer.Write(directory.canonical()));
    for (std::size_t i = 0; i < directory.count(); ++i) {
      const Directory::Entry entry = directory.At(i);
      if (entry.kind == NodeKind::kDirectory) STRATA_TRY(add(*entry.digest));
    }
  }
  return {};
}

}  // namespace

class ObjectDirectories::Putter final : public DirectoryPutter {
 public:
  Putter(std::shared_ptr<ObjectBucket> bucket, SpillStage stage)
      : bucket_(std::move(bucket)), stage_(std::move(stage)) {}

  Result<void> Put(const Directory& directory) override {
    if (closed_) return Fail(Errc::kInvalid, "directories are put after a tree's end: already closed");
    STRATA_ASSIGN(const bool is_new, closure_.Add(directory));
    if (is_new) STRATA_TRY(stage_.Put(directory));
    return {};
  }

  Result<Digest> Close() override {
    if (closed_) return Fail(Errc::kInvalid, "a tree is ended twice: already closed");
    closed_ = true;
    STRATA_ASSIGN(const Digest root, closure_.Finish());
    const std::string key = DirectoryKey(root);
    STRATA_ASSIGN(const bool there, bucket_->Has({}, key));
    if (there) return root;
    STRATA_ASSIGN(auto object, bucket_->Create(key, ObjectRank::kDirectory));
    ClosureWriter writer(std::move(object));
    STRATA_TRY(WriteRootToLeaves(stage_, root, writer));
    STRATA_TRY(writer.Close());
    return root;
  }

 private:
  const std::shared_ptr<ObjectBucket> bucket_;
  SpillStage stage_;
  LeavesToRoot closure_;
  bool closed_ = false;
};

void ObjectDirectories::Complain(std::string_view doing, const Status& why) {
  if (!complaints_.Allow()) return;
  log::Warning("near_store_passed_over", {{"near", near_->Describe()},
                                          {"doing", doing},
                                          {"error", why},
                                          {"hint", "the far store is asked instead; look after the near one's disk"}});
}

void ObjectDirectories::Remember(const Digest& digest) {
  const MutexLock lock(roots_mutex_);
  if (asked_.size() < kMostAsked && std::ranges::find(asked_, digest, &Asked::digest) == asked_.end())
    asked_.push_back({digest});
}

Result<std::optional<Directory>> ObjectDirectories::GetNear(const Waiting& waiting, const Digest& digest) {
  if (near_) {
    auto directory = near_->Get(waiting, digest);
    if (!directory && directory.error().code() == Errc::kWouldBlock) return directory;
    if (!directory) Complain("get the directory " + digest.Text(), directory.error());
    if (directory && *directory) return directory;
  }
  return spill_.Get(digest);
}

Result<std::optional<Directory>> ObjectDirectories::Get(const Waiting& waiting, const Digest& digest) {
  if (near_) Remember(digest);
  STRATA_ASSIGN(auto directory, GetNear(waiting, digest));
  if (directory) return directory;
  STRATA_ASSIGN(const bool loaded, Load(waiting, digest, To::kNear));
  if (loaded) {
    STRATA_ASSIGN(directory, GetNear(waiting, digest));
    if (directory) return directory;
  }
  return near_ ? GetLost(waiting, digest) : std::nullopt;
}

Result<std::optional<Directory>> ObjectDirectories::GetLost(const Waiting& waiting, const Digest& digest) {
  std::vector<Digest> roots;
  {
    const MutexLock lock(roots_mutex_);
    for (const Asked& asked : asked_) {
      if (!asked.spilled) roots.push_back(asked.digest);
    }
  }
  for (const Digest& root : roots) {
    STRATA_TRY(Load(waiting, root, To::kSpill));
    {
      const MutexLock lock(roots_mutex_);
      const auto at = std::ranges::find(asked_, root, &Asked::digest);
      if (at != asked_.end()) at->spilled = true;
    }
    STRATA_ASSIGN(auto directory, spill_.Get(digest));
    if (directory) return directory;
  }
  return std::nullopt;
}

Result<bool> ObjectDirectories::Load(const Waiting& waiting, const Digest& root, To to) {
  const auto at_hand = [&] { return to == To::kNear ? GetNear(waiting, root) : spill_.Get(root); };
  while (true) {
    bool loaded = false;
    STRATA_ASSIGN(const bool done_here, loads_.Do(waiting, root, [&]() -> Result<void> {
      // It may have come since the caller looked.
      STRATA_ASSIGN(const auto there, at_hand());
      if (there) {
        loaded = true;
        return {};
      }
      STRATA_ASSIGN(loaded, LoadClosure(waiting, root, to));
      return {};
    }));
    if (done_here) return loaded;
    STRATA_ASSIGN(const auto there, at_hand());
    if (there) return true;
  }
}

Result<bool> ObjectDirectories::LoadClosure(const Waiting& waiting, const Digest& root, To to) {
  const std::string key = DirectoryKey(root);
  STRATA_ASSIGN(auto object, bucket_->Open(waiting, key));
  if (!object) return false;
  SpillStage stage = spill_.NewStage();
  const auto keep = [&](const Directory& directory) -> Result<void> {
    STRATA_TRY(stage.Put(directory));
    return {};
  };
  if (auto read = ReadWholeClosure(root, std::move(object), keep); !read) {
    const bool damaged = read.error().code() == Errc::kCorrupt || read.error().code() == Errc::kInvalid;
    const std::string message = "the tree " + root.Text() + " of " + Describe() + " cannot be read from " +
                                bucket_->DescribeObject(key) + ": " + std::string(read.error().message()) +
                                (damaged ? "; remove the object and put the tree again" : "");
    return Fail(damaged ? Errc::kCorrupt : read.error().code(), message);
  }
  // A near store that cannot take it costs memory, and not the answer.
  if (near_ && to == To::kNear) {
    const auto filled = FillNear(root, stage);
    if (filled) return true;
    Complain("keep the tree " + root.Text(), filled.error());
  }
  STRATA_TRY(spill_.Publish(std::move(stage)));
  return true;
}

Result<void> ObjectDirectories::FillNear(const Digest& root, SpillStage& stage) {
  STRATA_ASSIGN(const auto putter, near_->PutMany());
  StagedDirectories staged(stage);
  Result<void> put;
  // Children first: what the near store has, it has with all that lies beneath.
  STRATA_TRY(VisitLeavesToRoot(staged, {}, root, [&](const Directory& directory) {
    put = putter->Put(directory);
    return put.has_value();
  }));
  STRATA_TRY(put);
  STRATA_TRY(putter->Close());
  return {};
}

Result<Digest> ObjectDirectories::Put(const Directory& directory) {
  for (std::size_t i = 0; i < directory.count(); ++i) {
    if (directory.At(i).kind == NodeKind::kDirectory) {
      return Fail(Errc::kInvalid, "put the directory " + directory.digest().Text() + " into " + Describe() +
                                      ": it has directories in it, which an object store takes only together, by "
                                      "putting the whole tree");
    }
  }
  STRATA_ASSIGN(const auto putter, PutMany());
  STRATA_TRY(putter->Put(directory));
  return putter->Close();
}

Result<std::unique_ptr<DirectoryPutter>> ObjectDirectories::PutMany() {
  return std::make_unique<Putter>(bucket_, spill_.NewStage());
}

}  // namespace strata::store
