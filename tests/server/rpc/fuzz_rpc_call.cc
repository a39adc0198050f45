// The record reader and the call header under any bytes. The first byte says how the rest is cut into receives.
#include <algorithm>
#include <cstdlib>

#include "server/rpc/dispatcher.h"
#include "server/rpc/record_reader.h"

namespace {

using namespace strata;
using namespace strata::rpc;

class EchoProgram final : public Program {
 public:
  EchoProgram() {
    procedures_[0].handler =
        procedures_[1].handler = [](Program&, const Call&, XdrReader& arguments, ReplyBuffer& reply) {
          const ByteSpan bytes = arguments.Opaque(1 << 20);
          if (!arguments.Finished()) return Outcome::Garbage();
          reply.Opaque(bytes);
          return Outcome{};
        };
  }
  std::uint32_t number() const override { return 100003; }
  std::string_view name() const override { return "echo"; }
  std::uint32_t low_version() const override { return 3; }
  std::uint32_t high_version() const override { return 3; }
  std::span<const Procedure> Procedures(std::uint32_t) const override { return procedures_; }

 private:
  Procedure procedures_[2];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static EchoProgram program;
  static const Dispatcher dispatcher({&program});
  const Peer peer;
  const std::size_t step = 1 + data[0];
  ByteSpan rest = std::as_bytes(std::span(data + 1, size - 1));
  ReceiveBudget budget;
  BufferPool pool(budget);
  RecordReader reader(pool);
  CredentialCache credentials;
  ReplyBuffer replies;
  for (;;) {
    ByteSpan record;
    const RecordReader::Found found = reader.Take(&record);
    if (found == RecordReader::Found::kRecord) {
      if (record.size() > kMaxRecordBytes) std::abort();
      Route route;
      dispatcher.Find(record, peer, credentials, &route, replies);
      if (route.kind == Route::Kind::kServe) {
        XdrReader arguments(route.arguments);
        route.procedure->handler(*route.program, route.call, arguments, replies);
      }
      replies.Clear();
      continue;
    }
    if (found != RecordReader::Found::kMore || rest.empty()) break;
    if (data[0] % 3 == 0) reader.Shrink();
    const MutableByteSpan room = reader.Room();
    const std::size_t part = std::min({step, room.size(), rest.size()});
    if (part == 0) std::abort();
    std::copy_n(rest.begin(), part, room.begin());
    reader.Received(part);
    rest = rest.subspan(part);
  }
  return 0;
}
