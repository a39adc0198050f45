// Any bytes as a handover. What decodes must be the same after it is encoded and decoded again.
#include <cstdint>
#include <cstdlib>

#include "server/handover.h"
#include "server/nlm4/lock_table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  const auto handover = DecodeHandover(std::as_bytes(std::span(data, size)));
  if (!handover) return 0;
  const auto bytes = EncodeHandover(*handover);
  if (!bytes) std::abort();
  const auto again = DecodeHandover(*bytes);
  if (!again) std::abort();
  const auto twice = EncodeHandover(*again);
  if (!twice || *twice != *bytes) std::abort();
  if (!handover->locks) return 0;
  // Whatever they are, a table holds them, and gives up all of it.
  nlm4::LockTable table({}, [] { return std::int64_t{0}; }, [](const std::vector<nlm4::Grant>&) {});
  table.Import(*handover->locks);
  (void)table.AllUnconfirmed();
  nlm4::LockTable other({}, [] { return std::int64_t{0}; }, [](const std::vector<nlm4::Grant>&) {});
  other.Import(table.Export());
  for (const auto& entry : handover->locks->entries) table.Forget(entry.file);
  if (!table.empty() || !table.AllUnconfirmed().empty()) std::abort();
  return 0;
}
