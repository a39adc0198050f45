#include "vfs/checkpointer.h"

#include "journal/record.h"
#include "vfs/lower_tree.h"

namespace strata::vfs {
namespace {

class IndexVisitor final : public journal::EffectVisitor {
 public:
  IndexVisitor(store::Index::Writer& writer, const SipHashKey& name_key, NumberFilter& copied_up)
      : writer_(writer), name_key_(name_key), copied_up_(copied_up) {}

  void Begin(const journal::RecordView& record) { payload_ = record.payload_position; }

  Result<void> On(const InodeRecord& inode) override {
    if (LowerTree::IsLower(inode.ino)) copied_up_.Add(inode.ino);
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
    return writer_.PutExtent(e.ino, {e.offset, e.length, Lsn(payload_.value + e.payload_offset)});
  }
  Result<void> On(const journal::TruncateEffect& e) override { return writer_.Truncate(e.ino, e.size); }
  Result<void> On(const journal::PurgeEffect& e) override { return writer_.Purge(e.ino); }

 private:
  store::Index::Writer& writer_;
  const SipHashKey& name_key_;
  NumberFilter& copied_up_;
  Lsn payload_;
};

}  // namespace

Result<Lsn> ApplyToIndex(journal::Journal& journal, store::Index& index, const SipHashKey& name_key, NumberFilter& copied_up,
                         Lsn from, Lsn to, std::size_t batch_bytes) {
  STRATA_ASSIGN(std::unique_ptr<store::Index::Writer> writer, index.Begin());
  IndexVisitor visitor(*writer, name_key, copied_up);
  Lsn at = from;
  // The writer gathers the transaction in memory.
  while (at < to && writer->bytes() < batch_bytes) {
    STRATA_ASSIGN(std::optional<journal::RecordView> record, journal.Next(at));
    // A segment's beginning is a position too: it may have been made, and the power gone before it had a record.
    if (!record || record->begin >= to) {
      at = to;
      break;
    }
    if (record->end > to) break;
    visitor.Begin(*record);
    STRATA_TRY(journal::VisitRecord(record->head, record->payload.size(), visitor));
    at = record->end;
  }
  STRATA_TRY(writer->Commit(at));
  return at;
}

}  // namespace strata::vfs
