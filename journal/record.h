// The native records: how a change lies in the journal. Grammar: docs/formats/journal.md.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "journal/change.h"

namespace strata::journal {

// Replaces `bytes` by the head of the change's record.
void EncodeRecord(const Change& change, std::vector<std::byte>& bytes);

// The header alone. kCorrupt for bytes that are no record head.
Result<RecordHeader> ReadRecordHeader(ByteSpan head);
// Decodes and visits every effect. `payload_size`: that of the record, against which data effects are checked. kCorrupt
// for bytes that are no record head; effects before the fault may have been visited. Stops at the first error a visit
// gives, and returns it.
Result<RecordHeader> VisitRecord(ByteSpan head, std::uint64_t payload_size, EffectVisitor& visitor);

}  // namespace strata::journal
