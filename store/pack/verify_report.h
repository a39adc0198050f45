// What a verification is asked and what it answers: of a pack store (verify.h) and of a store of objects
// (store/objects/verify.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "store/pack/problem.h"

namespace strata::store::pack {

struct VerifyOptions {
  // Whether all is there that names and leases lead to.
  bool reached = true;
  // Whether the chunks of each list make the blob that it is of. They are read a second time for that.
  bool blobs = true;
  // Bytes a second that are read at most; 0: as many as can be.
  std::uint64_t bytes_a_second = 0;
  // Called for everything that is found.
  std::function<void(const Problem&)> told{};
  // Called now and then, with what is being done and how far that is, of `total` where that is not 0; false stops it.
  std::function<bool(std::string_view doing, std::uint64_t done, std::uint64_t total)> progress{};
};

struct VerifyReport {
  std::uint64_t packs = 0;    // none of a store of objects
  std::uint64_t records = 0;  // or objects
  std::uint64_t bytes = 0;    // of them, as they are stored
  std::uint64_t problems = 0;
  // Bytes at the ends of packs that are no record and of no known one: what a crash leaves of the last writing. Of
  // these nothing was promised, so they are no problem.
  std::uint64_t torn_bytes = 0;
  bool stopped = false;  // `progress` said so: what is reported is of what was read until then
};

}  // namespace strata::store::pack
