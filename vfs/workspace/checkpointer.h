// The journal's way into the index. The checkpointer reads the journal like any other reader: it knows nothing of the
// inodes in memory and takes none of their locks, so serving goes on beside it; and recovery is the same code, run
// before serving begins.
#pragma once

#include <deque>

#include "base/hash.h"
#include "journal/change_log.h"
#include "store/index/index.h"
#include "vfs/workspace/number_filter.h"
#include "vfs/workspace/past_requests.h"

namespace strata::vfs {

// Not thread-safe.
class Checkpointer {
 public:
  // All must outlive it. `copied_up` learns the layers' numbers that the index comes to hold.
  Checkpointer(journal::ChangeLog& journal, store::Index& index, const SipHashKey& name_key, NumberFilter& copied_up,
               const store::Index::Checkpoint& reached, std::size_t batch_bytes)
      : journal_(journal),
        index_(index),
        name_key_(name_key),
        copied_up_(copied_up),
        reached_(reached),
        batch_bytes_(batch_bytes) {}

  // Applies the journal's records from where the index has come to on, in one transaction: up to `to`, or fewer if they
  // are many: until the transaction takes `batch_bytes` of memory, or `enough` (asked now and then) says so. False: the
  // journal has none before `to`. `to` must be durable, so that the index is never ahead of the journal after a power
  // cut. `step` is called in between, often, and may wait.
  Result<bool> Apply(Lsn to, const std::function<bool()>& enough = {}, const std::function<void()>& step = {});
  // Which requests the journal holds from reached().requests on: until they are known none is forgotten.
  void KnowRequests(const PastRequestsFound& found);
  const store::Index::Checkpoint& reached() const { return reached_; }
  // How many were applied, in all.
  std::uint64_t records() const { return records_; }

 private:
  // Where the records with requests lie, of those that still count.
  void Note(Lsn record);

  journal::ChangeLog& journal_;
  store::Index& index_;
  const SipHashKey& name_key_;
  NumberFilter& copied_up_;
  store::Index::Checkpoint reached_;
  const std::size_t batch_bytes_;
  std::uint64_t records_ = 0;
  struct Request {
    Lsn record;
    std::uint64_t distance;  // its position, what the cleaner wrote left out
  };
  std::deque<Request> requests_;  // all that count, if `complete_`
  bool trimmed_ = false;          // some count no more
  bool complete_ = reached_.lsn.value == 0;
  std::uint64_t moved_ = 0;  // bytes of records that the cleaner wrote: no call of a client's
};

}  // namespace strata::vfs
