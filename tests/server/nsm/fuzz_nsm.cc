// What the status monitor reads that others wrote. The first byte chooses: its program's calls, one after the other;
// the file of clients; the file of what is registered with port 111. What parses must be the same once it was formatted
// and parsed again. Of each call: the procedure, who calls, and the length of the arguments.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "server/nsm/monitored_clients.h"
#include "server/nsm/program.h"
#include "server/portmap/kept_registrations.h"

namespace {

using namespace strata;

void Require(bool condition) {
  if (!condition) std::abort();
}

void Calls(std::string_view input) {
  constexpr nlm4::FileKey kFile{1, InodeNumber(1), Generation(1)};
  static const Exports exports;
  rpc::CallThread calls;
  nlm4::LockTable locks({}, [] { return std::int64_t{0}; }, [](const std::vector<nlm4::Grant>&) {});
  nsm::MonitoredClients clients(Env::System(), "", false);
  nsm::Monitor monitor(
      calls, [](rpc::Client&, const rpc::Address&, std::uint32_t, std::uint32_t, auto) {}, locks, clients, false,
      false);
  const auto program = MakeNsmProgram(exports, monitor, [] {});
  const auto rows = program->Procedures(1);
  constexpr std::size_t kHead = 3;
  while (input.size() >= kHead) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(input[i]); };
    const rpc::Procedure& row = rows[byte(0) % rows.size()];
    rpc::Peer peer;
    peer.address = boost::asio::ip::address_v4(0x0a000000u | (byte(1) & 3));
    if ((byte(1) & 4) != 0) (void)clients.Add({peer.address, peer.local});
    (void)locks.Lock(kFile, {.name = "name", .address = peer.address, .svid = 1, .owner = {}}, {byte(1), byte(1)}, true,
                     false, nullptr);
    const ByteSpan arguments = AsBytes(input.substr(kHead, byte(2)));
    input.remove_prefix(kHead + arguments.size());
    if (row.handler == nullptr) continue;
    rpc::Call call;
    call.peer = &peer;
    rpc::ReplyBuffer reply;
    rpc::XdrReader reader(arguments);
    const rpc::Outcome outcome = row.handler(*program, call, reader, reply);
    Require(!outcome.would_block && reply.size() == 0);
  }
}

void Clients(std::string_view text) {
  const auto kept = nsm::ParseClients(text);
  if (!kept) return;
  const auto again = nsm::ParseClients(nsm::FormatClients(*kept));
  Require(again && again->state == kept->state && again->clients == kept->clients);
}

void Registrations(std::string_view text) {
  const auto kept = portmap::ParseRegistrations("boot", text);
  if (!kept) return;
  const auto again = portmap::ParseRegistrations("boot", portmap::FormatRegistrations("boot", *kept));
  Require(again && *again == *kept);
  portmap::Registry registry;
  for (const portmap::Registration& one : *kept) (void)registry.Set(one);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::SetLevel(log::Level::kOff);
  if (size == 0 || size > 20'000) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      Calls(input);
      break;
    case 1:
      Clients(input);
      break;
    default:
      Registrations(input);
  }
  return 0;
}
