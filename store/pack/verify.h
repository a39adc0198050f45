// Verification: reads all that a pack store holds, and names what is damaged or missing.
#pragma once

#include "base/status.h"
#include "store/pack/engine.h"
#include "store/pack/verify_report.h"

namespace strata::store::pack {

// Beside whoever puts and reads. Changes nothing, but that records that do not check count as missing from now on in
// this process: putting them again mends the store.
Result<VerifyReport> VerifyStore(Engine& engine, const VerifyOptions& options = {});

// Goes on where the last scrub stopped, if that one did, and reads every pack once: of `options`, `reached` and `blobs`
// are passed over. Its place is kept in the store's folder, where that can be written.
Result<VerifyReport> ScrubStore(Engine& engine, const VerifyOptions& options = {});

}  // namespace strata::store::pack
