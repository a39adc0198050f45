#include "server/rpc/trace.h"

#include <chrono>
#include <string>
#include <vector>

namespace strata::rpc {
namespace {

std::string ClientOf(const Peer& peer) { return peer.local_socket ? "local" : peer.address.to_string(); }

std::vector<log::Field> Begin(const Route& route, const std::string& client) {
  return {{"xid", route.call.xid},
          {"client", client},
          {"port", route.call.peer->port},
          {"program", route.program->name()},
          {"procedure", route.procedure->name}};
}

void End(std::vector<log::Field>& fields, const Route& route) {
  fields.push_back({"us", (SteadyNanoseconds() - route.call.received_ns) / 1000});
  fields.push_back({"worker", route.call.may_block});
}

}  // namespace

std::int64_t SteadyNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void WriteTrace(const Route& route, const CallTrace& trace, const Outcome& outcome) {
  const std::string client = ClientOf(*route.call.peer);
  std::vector<log::Field> fields = Begin(route, client);
  if (trace.inode) fields.push_back({"inode", *trace.inode});
  if (trace.name) fields.push_back({"name", *trace.name});
  if (outcome.status != SUCCESS) {
    fields.push_back({"accept", static_cast<std::uint32_t>(outcome.status)});
  } else if (trace.status) {
    fields.push_back({"status", *trace.status});
  }
  End(fields, route);
  log::Write(log::Level::kTrace, "call", fields);
}

void WriteTraceOfDuplicate(const Route& route, bool waits) {
  const std::string client = ClientOf(*route.call.peer);
  std::vector<log::Field> fields = Begin(route, client);
  fields.push_back({"duplicate", waits ? "waits" : "answered"});
  End(fields, route);
  log::Write(log::Level::kTrace, "call", fields);
}

void WriteTraceOfDenied(const Peer& peer, ByteSpan record) {
  const CallHeader header = ParseCallHeader(record);
  const std::string client = ClientOf(peer);
  const log::Field fields[] = {{"xid", header.xid},         {"client", client},
                               {"port", peer.port},         {"program", header.program},
                               {"version", header.version}, {"procedure", header.procedure}};
  log::Write(log::Level::kTrace, "call_denied", fields);
}

}  // namespace strata::rpc
