// Arbitrary calls of NLM, one after the other, on one lock table. Of each: a byte that chooses the procedure, one that
// tells who calls, two with the length of the arguments, in which handles are made good (Harness::WithHandles).
#include <cstdlib>
#include <string_view>

#include "tests/server/nfs3/harness.h"

namespace {

using strata::FileType;
using strata::testing::Bytes;
using strata::testing::Harness;

constexpr std::size_t kHead = 4;  // bytes before the arguments

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 20'000) return 0;
  Harness harness;
  harness.volume().Make(harness.volume().Root(), "f", FileType::kRegular, "content");
  harness.volume().Make(harness.volume().Root(), "g", FileType::kRegular, "content");
  const auto rows = harness.Procedures(Harness::kNlm, 4);
  std::string_view input(reinterpret_cast<const char*>(data), size);
  while (input.size() >= kHead) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(input[i]); };
    const std::size_t procedure = byte(0) % rows.size();
    harness.from.address = (byte(1) & 1) != 0 ? "127.0.0.2" : "127.0.0.1";
    harness.from.datagram = (byte(1) & 2) != 0;
    harness.credentials.uid = byte(1) >> 4;
    harness.SetGrace((byte(1) & 4) != 0);
    const std::size_t length = std::min<std::size_t>(input.size() - kHead, byte(2) | byte(3) << 8);
    const Bytes arguments = harness.WithHandles(input.substr(kHead, length));
    input.remove_prefix(kHead + length);
    if (!rows[procedure].has_handler) continue;
    const auto reply = harness.Call(Harness::kNlm, 4, static_cast<std::uint32_t>(procedure), arguments);
    if (reply.accept == strata::testing::kAccepted) {
      Require(reply.bytes.size() <= rows[procedure].largest_reply);
      Require(reply.bytes.size() % 4 == 0);
    }
  }
  return 0;
}
