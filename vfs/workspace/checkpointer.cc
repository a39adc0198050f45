#include "vfs/workspace/checkpointer.h"

#include <algorithm>

#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/past_requests.h"

namespace strata::vfs {
namespace {

class IndexVisitor final : public journal::EffectVisitor {
 public:
  IndexVisitor(store::Index::Writer& writer, const SipHashKey& name_key, NumberFilter& copied_up, Lsn journal_begin)
      : writer_(writer), name_key_(name_key), copied_up_(copied_up), journal_begin_(journal_begin) {}

  void Begin(const journal::RecordView& record) {
    has_request_ = false;
    record_ = record.begin;
    payload_ = record.payload_position;
  }

  Result<void> On(const InodeRecord& inode) override {
    copied_up_.Add(inode.ino);
    return writer_.PutInode(inode);
  }
  Result<void> On(const journal::TouchEffect& e) override {
    return writer_.Touch(e.ino, e.nlink, e.size, e.mode, e.mtime, e.ctime);
  }
  Result<void> On(const journal::EntryEffect& e) override {
    const std::uint64_t hash = NameHash(name_key_, e.name);
    if (e.state == journal::EntryEffect::State::kAbsent) return writer_.RemoveEntry(e.directory, hash, e.name);
    store::IndexEntry entry;
    entry.name = e.name;
    entry.hash = hash;
    entry.whiteout = e.state == journal::EntryEffect::State::kWhiteout;
    entry.ino = entry.whiteout ? kNoInode : e.ino;
    entry.type = e.type;
    return writer_.PutEntry(e.directory, entry);
  }
  Result<void> On(const journal::DataEffect& e) override {
    return writer_.PutExtent(e.ino, {e.offset, e.length, Lsn(payload_.value + e.payload_offset), record_});
  }
  Result<void> On(const journal::TruncateEffect& e) override { return writer_.Truncate(e.ino, e.size); }
  Result<void> On(const journal::PurgeEffect& e) override { return writer_.Purge(e.ino); }
  Result<void> On(const journal::BeginEffect& e) override {
    journal_begin_ = std::max(journal_begin_, e.begin);
    return {};
  }
  Result<void> On(const journal::RequestEffect&) override {
    has_request_ = true;
    return {};
  }

  bool has_request() const { return has_request_; }
  Lsn journal_begin() const { return journal_begin_; }

 private:
  store::Index::Writer& writer_;
  const SipHashKey& name_key_;
  NumberFilter& copied_up_;
  Lsn journal_begin_;
  bool has_request_ = false;
  Lsn record_;
  Lsn payload_;
};

constexpr std::uint64_t kAskEvery = 64;

}  // namespace

void Checkpointer::KnowRequests(const PastRequestsFound& found) {
  requests_.clear();
  for (const FoundRequest& request : found.requests) requests_.push_back({request.record, request.distance});
  moved_ = found.moved;
  complete_ = trimmed_ = true;
}

void Checkpointer::Note(Lsn record) {
  requests_.push_back({record, record.value - moved_});
  while (requests_.size() > kMaxPastRequests ||
         requests_.back().distance - requests_.front().distance > kPastRequestBytes) {
    requests_.pop_front();
    trimmed_ = true;
  }
}

Result<bool> Checkpointer::Apply(Lsn to, const std::function<bool()>& enough, const std::function<void()>& step) {
  STRATA_ASSIGN(std::unique_ptr<store::Index::Writer> writer, index_.Begin(journal_.segment_size()));
  IndexVisitor visitor(*writer, name_key_, copied_up_, reached_.journal_begin);
  store::Index::Checkpoint reached = reached_;
  // The writer gathers the transaction in memory.
  while (reached.lsn < to && writer->bytes() < batch_bytes_) {
    STRATA_ASSIGN(std::optional<journal::RecordView> record, journal_.NextHead(reached.lsn));
    // A segment's beginning is a position too: it may have been made, and the power gone before it had a record.
    if (!record || record->begin >= to) {
      reached.lsn = to;
      break;
    }
    if (record->end > to) break;
    ++records_;
    visitor.Begin(*record);
    STRATA_ASSIGN(const journal::RecordHeader header, record->Visit(visitor));
    if (header.kind == journal::RecordKind::kMove) moved_ += record->end.value - record->begin.value;
    if (visitor.has_request()) Note(record->begin);
    reached.lsn = record->end;
    reached.record = record->begin;
    reached.record_check = record->check;
    if (step) step();
    if (enough && records_ % kAskEvery == 0 && enough()) break;
  }
  reached.journal_begin = visitor.journal_begin();
  // Those of before this process count too: it has to know them first.
  if (complete_ && trimmed_) {
    reached.requests = requests_.empty() ? reached.lsn : requests_.front().record;
  }
  STRATA_TRY(writer->Commit(reached, step));
  const bool advanced = reached.lsn != reached_.lsn;
  reached_ = reached;
  return advanced;
}

}  // namespace strata::vfs
