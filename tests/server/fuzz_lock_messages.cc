// Any bytes as a request for locks, and as pages of a listing: a length (u16) before each. What decodes must be the
// same after it is encoded and decoded again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "server/lock_messages.h"

namespace {

using namespace strata;

void TryRequest(ByteSpan bytes) {
  const auto request = DecodeLockRequest(bytes);
  if (!request) return;
  const auto again = DecodeLockRequest(EncodeLockRequest(*request));
  if (!again || *again != *request) std::abort();
}

void TryPages(ByteSpan bytes) {
  nlm4::LockListing listing;
  ByteReader in(bytes);
  while (in.remaining() > 0) {
    const std::size_t size = in.Read<std::uint16_t>();
    if (!DecodeLockPage(in.ReadBytes(std::min(size, in.remaining())), listing)) return;
  }
  nlm4::LockListing again;
  for (ListingPlace place; place.locks < listing.locks.size();) {
    const auto page = EncodeLockPage(listing, place, kLeastPage);
    if (page.size() > kLeastPage || !DecodeLockPage(page, again)) std::abort();
  }
  if (again.locks != listing.locks) std::abort();
  // Clients that hold nothing are not told of.
  if (again.clients.size() > listing.clients.size() ||
      !std::equal(again.clients.begin(), again.clients.end(), listing.clients.begin())) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes = std::as_bytes(std::span(data, size));
  TryRequest(bytes);
  TryPages(bytes);
  return 0;
}
