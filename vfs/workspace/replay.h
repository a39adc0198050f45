// The journal's tail into memory: how a reader beside the server sees what the index does not hold yet, writing
// nothing.
#pragma once

#include "journal/change_log.h"
#include "vfs/workspace/loader.h"

namespace strata::vfs {

class MemoryReplay final : public journal::EffectVisitor {
 public:
  // All must outlive it.
  MemoryReplay(journal::ChangeLog& journal, InodeTable& table, Loader& loader, const SipHashKey& name_key)
      : journal_(journal), table_(table), loader_(loader), name_key_(name_key) {}

  // Applies everything after the index's position. Nothing else runs on the workspace meanwhile.
  Result<void> Run();

  Result<void> On(const InodeRecord& record) override;
  Result<void> On(const journal::TouchEffect& effect) override;
  Result<void> On(const journal::EntryEffect& effect) override;
  Result<void> On(const journal::DataEffect& effect) override;
  Result<void> On(const journal::TruncateEffect& effect) override;
  Result<void> On(const journal::PurgeEffect& effect) override;

 private:
  // The inode in memory, brought from the index if need be; null where neither has it. Never evicted after: its last
  // change is not in the index.
  Result<Inode*> Find(InodeNumber ino);
  // As Find, but kCorrupt for null.
  Result<Inode*> Existing(InodeNumber ino);

  // Supplies what `know(Need&)` needs, until it needs nothing.
  template <typename Know>
  Result<void> Supplied(Know know);

  journal::ChangeLog& journal_;
  InodeTable& table_;
  Loader& loader_;
  const SipHashKey& name_key_;
  Lsn begin_;
  Lsn payload_;
  Lsn end_;
};

}  // namespace strata::vfs
