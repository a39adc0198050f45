// What is wrong with a store: one thing that a verification or a walk has found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/digest.h"
#include "store/pack/format.h"

namespace strata::store::pack {

struct Problem {
  enum class What : std::uint8_t {
    kDamagedRecord,  // a record does not check: what it held is lost, unless it is there a second time
    kLostBytes,     // bytes of a pack that are no record; at a pack's end perhaps what a crash left of the last writing
    kDamagedPack,   // a pack's header does not check: all that it held is lost
    kMissing,       // something that is reached is not there
    kDamagedIndex,  // an index did not check, or lacked a record; it is made anew
    kWrongBlob,     // a list's chunks are all sound, but make another blob
    kDamagedName,   // a name's file does not check
  };
  What what = What::kDamagedRecord;
  std::optional<Digest> digest;    // of what is lost, where that is known
  std::optional<RecordKind> kind;  // and what that is
  std::optional<PackId> pack;
  std::uint64_t begin = 0, end = 0;  // of the pack's bytes
  std::string message;               // all of it for people, with the name or directory that leads there
};

}  // namespace strata::store::pack
