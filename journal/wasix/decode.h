// From the payload of a WASIX record to an Entry. Both eras of the format are read (docs/formats/wasix.md).
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/status.h"
#include "journal/wasix/entries.h"

namespace strata::journal::wasix {

// The entry's byte strings refer to `payload`. `payload_position` is where the payload lies in the file, and serves
// messages only. Nothing is allocated, unless there is an error.
//
// kCorrupt, with the name of the record and the position in the file of what is wrong: a payload shorter than the
// record's root, a byte string that does not lie between the payload's first byte and the root, a number that no
// enumeration has, a tag of an option that is neither 0 nor 1, a bool that is neither. kNotSupported for a number that
// is no type. A SetThreadV1 of the oldest releases is kCorrupt too: its layout is not known.
Result<Entry> Decode(EntryType type, ByteSpan payload, std::uint64_t payload_position);

}  // namespace strata::journal::wasix
