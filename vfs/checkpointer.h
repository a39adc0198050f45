// The journal's way into the index. The checkpointer reads the journal like any other reader: it knows nothing of the inodes in memory and takes none of
// their locks, so serving goes on beside it; and recovery is the same code, run before serving begins.
#pragma once

#include "base/hash.h"
#include "journal/journal.h"
#include "store/index/index.h"
#include "vfs/number_filter.h"

namespace strata::vfs {

// Applies the journal's records from `from` on to the index, in one transaction: up to `to`, or fewer if they are many: until the
// transaction takes `batch_bytes` of memory. The position reached, which is
// `from` where the journal has no record before `to`. `to` must be durable, so that the index is never ahead of the journal after a power cut.
// `copied_up` learns the layers' numbers that the index comes to hold.
Result<Lsn> ApplyToIndex(journal::Journal& journal, store::Index& index, const SipHashKey& name_key, NumberFilter& copied_up,
                         Lsn from, Lsn to, std::size_t batch_bytes);

}  // namespace strata::vfs
