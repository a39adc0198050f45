// Verification: reads all that a pack store holds, and names what is damaged or missing.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/status.h"
#include "store/pack/engine.h"
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
  std::function<void(const Problem&)> told;
  // Called now and then, with what is being done and how far it is, in bytes of the packs; false stops it.
  std::function<bool(std::string_view doing, std::uint64_t done, std::uint64_t total)> progress;
};

struct VerifyReport {
  std::uint64_t packs = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;  // of the packs
  std::uint64_t problems = 0;
  // Bytes at the ends of packs that are no record and of no known one: what a crash leaves of the last writing. Of
  // these nothing was promised, so they are no problem.
  std::uint64_t torn_bytes = 0;
  bool stopped = false;  // `progress` said so: what is reported is of what was read until then
};

// Beside whoever puts and reads. Changes nothing, but that records that do not check count as missing from now on in
// this process: putting them again mends the store.
Result<VerifyReport> VerifyStore(Engine& engine, const VerifyOptions& options = {});

// Goes on where the last scrub stopped, if that one did, and reads every pack once: of `options`, `reached` and `blobs`
// are passed over. Its place is kept in the store's folder, where that can be written.
Result<VerifyReport> ScrubStore(Engine& engine, const VerifyOptions& options = {});

}  // namespace strata::store::pack
