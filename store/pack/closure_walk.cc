#include "store/pack/closure_walk.h"

#include <utility>

#include "store/pack/blobs.h"
#include "store/pack/directories.h"
#include "store/pack/scan.h"

namespace strata::store::pack {
namespace {

// Directories that wait to be walked; of more only their bits are kept, and their packs are read through.
constexpr std::size_t kMostStacked = 1 << 16;

bool IsLoss(const Status& status) { return status.code() == Errc::kCorrupt || status.code() == Errc::kNotFound; }

}  // namespace

ClosureWalk::ClosureWalk(Engine& engine, std::function<void(const Problem&)> told)
    : engine_(engine), told_(std::move(told)), view_(engine.catalog().view()) {
  for (const CatalogView::Index& index : view_->indexes) {
    const std::size_t words = index.file->Places() / 64 + 1;
    marks_.push_back({Bits(words), Bits(words)});
  }
}

bool ClosureWalk::SetBit(Bits& bits, std::uint64_t i) {
  const std::uint64_t bit = 1ULL << (i % 64);
  const bool fresh = (bits[i / 64] & bit) == 0;
  bits[i / 64] |= bit;
  return fresh;
}

void ClosureWalk::Tell(Problem problem) {
  ++problems_;
  if (told_) told_(problem);
  if (!first_problem_) first_problem_ = std::move(problem);
}

Result<ClosureWalk::Marked> ClosureWalk::Mark(PackClass pack_class, const Digest& digest) {
  Marked marked;
  IndexFile::FoundList found;
  const auto note = [&](RecordKind kind, bool fresh) {
    marked.there = true;
    marked.fresh = marked.fresh || fresh;
    marked.list = marked.list || kind == RecordKind::kList;
    marked.part = marked.part || kind == RecordKind::kListPart;
  };
  for (std::size_t i = 0; i < view_->indexes.size(); ++i) {
    const CatalogView::Index& index = view_->indexes[i];
    if (!index.file->MayHold(digest)) continue;
    found.clear();
    STRATA_TRY(index.file->Find(true, digest, found));
    for (const IndexFile::Found& one : found) {
      if (ClassOf(one.location.kind) != pack_class || !index.alive[one.range]) continue;
      note(one.location.kind, SetBit(marks_[i].live, one.place));
    }
  }
  if (marked.there) return marked;
  STRATA_ASSIGN(const Engine::Places places, engine_.Find({}, pack_class, digest, true));
  if (places.empty()) return marked;
  const bool fresh = loose_[static_cast<std::size_t>(pack_class)].insert(digest).second;
  for (const Engine::Place& place : places) note(place.location.kind, fresh);
  return marked;
}

Result<void> ClosureWalk::AddRoot(const Root& root) {
  switch (root.node.kind) {
    case NodeKind::kDirectory:
      STRATA_TRY(MarkDirectory(root.node.digest, "a name"));
      break;
    case NodeKind::kFile:
      STRATA_TRY(MarkBlob(root.node.digest, "a name"));
      break;
    case NodeKind::kSymlink:
      break;
  }
  return root.attributes ? MarkBlob(*root.attributes, "a name, as its attributes") : Result<void>{};
}

Result<void> ClosureWalk::AddLease(const LeaseState& lease) {
  for (const LeaseItem& item : lease.items) {
    if (item.kind == LeaseItem::Kind::kDirectory) STRATA_TRY(MarkDirectory(item.digest, "the lease " + lease.id));
    if (item.kind == LeaseItem::Kind::kBlob) STRATA_TRY(MarkBlob(item.digest, "the lease " + lease.id));
  }
  return {};
}

Result<void> ClosureWalk::MarkDirectory(const Digest& digest, const std::string& from) {
  STRATA_ASSIGN(const Marked marked, Mark(PackClass::kDirectories, digest));
  if (!marked.there) {
    Tell({.what = Problem::What::kMissing,
          .digest = digest,
          .kind = RecordKind::kDirectory,
          .pack = {},
          .message = "the directory " + digest.Text() + " is missing, to which leads " + from});
    return {};
  }
  if (!marked.fresh) return {};
  if (stack_.size() < kMostStacked) {
    stack_.push_back(digest);
    return {};
  }
  // Its first place will do: the others hold the same.
  IndexFile::FoundList found;
  for (std::size_t i = 0; i < view_->indexes.size(); ++i) {
    found.clear();
    STRATA_TRY(view_->indexes[i].file->Find(true, digest, found));
    for (const IndexFile::Found& one : found) {
      if (one.location.kind != RecordKind::kDirectory || !view_->indexes[i].alive[one.range]) continue;
      if (SetBit(marks_[i].waiting, one.place)) ++waiting_[one.location.pack];
      return {};
    }
  }
  stack_.push_back(digest);  // in no index: few are
  return {};
}

Result<void> ClosureWalk::MarkBlob(const Digest& digest, const std::string& from) {
  STRATA_ASSIGN(const Marked marked, Mark(PackClass::kData, digest));
  if (!marked.there) {
    Tell({.what = Problem::What::kMissing,
          .digest = digest,
          .kind = RecordKind::kChunk,
          .pack = {},
          .message = "the blob " + digest.Text() + " is missing, to which leads " + from});
    return {};
  }
  if (!marked.fresh || !marked.list) return {};
  const auto list = ReadBlobList(engine_, {}, digest);
  if (!list && !IsLoss(list.error())) return Fail(list.error());
  if (!list || !*list) {
    Tell({.what = Problem::What::kDamagedRecord,
          .digest = digest,
          .kind = RecordKind::kList,
          .pack = {},
          .message = list ? "the chunk list " + digest.Text() + " is gone" : std::string(list.error().message())});
    return {};
  }
  return MarkList(**list, "the blob " + digest.Text());
}

Result<void> ClosureWalk::MarkList(const ListContent& list, const std::string& from) {
  for (const ChunkMeta& entry : list.entries) {
    STRATA_ASSIGN(const Marked marked, Mark(PackClass::kData, entry.digest));
    if (!marked.there) {
      Tell({.what = Problem::What::kMissing,
            .digest = entry.digest,
            .kind = list.of_parts ? RecordKind::kListPart : RecordKind::kChunk,
            .pack = {},
            .message = "the chunk " + entry.digest.Text() + " is missing, to which leads " + from});
      continue;
    }
    if (!list.of_parts || !marked.fresh) continue;
    const auto part = ReadListPart(engine_, {}, entry.digest, entry.size);
    if (!part && !IsLoss(part.error())) return Fail(part.error());
    if (part) {
      STRATA_TRY(MarkList(*part, from));
    } else {
      Tell({.what = Problem::What::kDamagedRecord,
            .digest = entry.digest,
            .kind = RecordKind::kListPart,
            .pack = {},
            .message = std::string(part.error().message())});
    }
  }
  return {};
}

Result<void> ClosureWalk::WalkDirectory(const Digest& digest) {
  ++directories_;
  const auto directory = PackDirectories(engine_).Get({}, digest);
  if (!directory && !IsLoss(directory.error())) return Fail(directory.error());
  if (!directory || !*directory) {
    Tell({.what = directory ? Problem::What::kMissing : Problem::What::kDamagedRecord,
          .digest = digest,
          .kind = RecordKind::kDirectory,
          .pack = {},
          .message =
              directory ? "the directory " + digest.Text() + " is gone" : std::string(directory.error().message())});
    return {};
  }
  const std::string from = "the directory " + digest.Text();
  for (std::size_t i = 0; i < (*directory)->count(); ++i) {
    const Directory::Entry entry = (*directory)->At(i);
    if (entry.kind == NodeKind::kDirectory) STRATA_TRY(MarkDirectory(*entry.digest, from));
    if (entry.kind == NodeKind::kFile) {
      ++files_;
      STRATA_TRY(MarkBlob(*entry.digest, from));
    }
  }
  return {};
}

Result<void> ClosureWalk::Run(const std::function<bool()>& step) {
  while (true) {
    while (!stack_.empty()) {
      const Digest digest = stack_.back();
      stack_.pop_back();
      STRATA_TRY(WalkDirectory(digest));
      if (step && !step()) return Fail(Errc::kInvalid, "stopped");
    }
    if (waiting_.empty()) return {};
    STRATA_TRY(WalkWaiting(step));
  }
}

Result<void> ClosureWalk::WalkWaiting(const std::function<bool()>& step) {
  const PackId id = waiting_.begin()->first;
  STRATA_ASSIGN(const auto pack, engine_.files().Open(true, id));
  STRATA_ASSIGN(const std::uint64_t size, pack->file->Size());
  PackScan scan(*pack->file, id, kPackHeaderBytes, size, PackScan::Depth::kHeaders);
  IndexFile::FoundList found;
  while (waiting_.contains(id)) {
    STRATA_ASSIGN(const PackScan::Found what, scan.Next());
    if (what == PackScan::Found::kEnd) break;
    if (what == PackScan::Found::kDamage) continue;
    for (std::size_t i = 0; i < view_->indexes.size(); ++i) {
      found.clear();
      STRATA_TRY(view_->indexes[i].file->Find(true, scan.header().digest, found));
      for (const IndexFile::Found& one : found) {
        if (one.location != scan.location() || !Bit(marks_[i].waiting, one.place)) continue;
        marks_[i].waiting[one.place / 64] &= ~(1ULL << (one.place % 64));
        if (--waiting_[id] == 0) waiting_.erase(id);
        STRATA_TRY(WalkDirectory(scan.header().digest));
      }
    }
    // What it led to goes first, as far as it fits.
    while (stack_.size() > kMostStacked / 2) {
      const Digest digest = stack_.back();
      stack_.pop_back();
      STRATA_TRY(WalkDirectory(digest));
    }
    if (step && !step()) return Fail(Errc::kInvalid, "stopped");
  }
  if (waiting_.contains(id)) {
    Tell({.what = Problem::What::kDamagedPack,
          .digest = {},
          .kind = {},
          .pack = id,
          .begin = 0,
          .end = size,
          .message = pack->path + " lacks directories that the index says it has"});
    waiting_.erase(id);
  }
  return {};
}

Result<void> ClosureWalk::CheckWhole() {
  STRATA_TRY(Run());
  if (first_problem_) return Fail(Errc::kNotFound, first_problem_->message);
  return {};
}

Result<bool> ClosureWalk::IsMarked(const Digest& digest, const Location& location) {
  IndexFile::FoundList found;
  bool known = false, elsewhere = false, lives = false;
  for (std::size_t i = 0; i < view_->indexes.size(); ++i) {
    if (!view_->indexes[i].file->MayHold(digest)) continue;
    found.clear();
    STRATA_TRY(view_->indexes[i].file->Find(true, digest, found));
    for (const IndexFile::Found& one : found) {
      const bool marked = Bit(marks_[i].live, one.place);
      known = known || one.location == location;
      elsewhere = elsewhere || one.location != location;
      if (one.location == location && marked) return true;
      lives = lives || marked;
    }
  }
  // Of two records that two processes put at once an index may have one. The other is a copy that lives where the one
  // does: that may be damaged.
  return !known && (lives || !elsewhere);
}

}  // namespace strata::store::pack
