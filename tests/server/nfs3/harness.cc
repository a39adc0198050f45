#include "tests/server/nfs3/harness.h"

#include <stdexcept>
#include <utility>

#include "server/exports.h"
#include "server/mount3/program.h"
#include "server/nfs3/handle.h"
#include "server/nfs3/program.h"
#include "server/nlm4/program.h"
#include "server/portmap/program.h"
#include "vfs/control_tree.h"

namespace strata::testing {

std::uint32_t Reply::Word(std::size_t index) const {
  if (bytes.size() < 4 * index + 4) throw std::out_of_range("the reply is shorter");
  return rpc::LoadBe32(reinterpret_cast<const std::byte*>(bytes.data()) + 4 * index);
}

// Knows the clients, or does not, as the test says.
struct FakeMonitor final : nlm4::ClientMonitor {
  explicit FakeMonitor(Harness& the_harness) : harness(the_harness) {}
  bool Has(const rpc::Peer&) const override {
    if (harness.clients_known_for == 0) return harness.clients_known;
    if (--harness.clients_known_for == 0) harness.clients_known = false;
    return true;
  }
  Result<void> Add(const rpc::Peer& client) override {
    harness.monitored.push_back("add " + client.address.to_string());
    if (!harness.clients_can_be_known) return Fail(Errc::kNoSpace, "the disk is full");
    harness.clients_known = true;
    return {};
  }
  void Reclaimed(const boost::asio::ip::address& client) override {
    harness.monitored.push_back("reclaimed " + client.to_string());
  }
  void Restarted(const boost::asio::ip::address& client, std::string_view name) override {
    harness.monitored.push_back("restarted " + client.to_string() + " " + std::string(name));
  }
  Harness& harness;
};

struct Harness::Impl {
  explicit Impl(Harness& harness) : monitor(harness) {}
  FakeMonitor monitor;
  Exports exports;
  portmap::Registry registry;
  nlm4::LockTable locks{{},
                        [] { return std::int64_t{0}; },
                        [this](const std::vector<nlm4::Grant>& grants) {
                          for (const nlm4::Grant& grant : grants) {
                            granted.push_back({grant.id, grant.address.to_string(), grant.back.message});
                          }
                        }};
  std::vector<Harness::LockGrant> granted;
  std::unique_ptr<rpc::Program> nfs, mount, portmap, nlm;

  rpc::Program& Of(std::uint32_t number) {
    for (rpc::Program* program : {nfs.get(), mount.get(), nlm.get()}) {
      if (program->number() == number) return *program;
    }
    return *portmap;
  }
};

Harness::Harness(std::vector<ExportRules> exports, bool locks) : impl_(std::make_unique<Impl>(*this)) {
  if (exports.empty()) exports.resize(1);
  for (ExportRules& rules : exports) {
    if (rules.volume == nullptr) rules.volume = std::make_shared<FakeFileSystem>();
    if (volume_ == nullptr) volume_ = rules.volume;
    Export entry;
    entry.options.path = rules.path;
    for (const std::string& range : rules.allow) entry.options.allow.push_back(Cidr::Parse(range).value());
    entry.options.insecure_ports = rules.insecure_ports;
    entry.options.squash = static_cast<Squash>(rules.squash);
    entry.volume = rules.volume;
    if (rules.control_tree) entry.volume = std::make_shared<vfs::ControlTree>(rules.volume);
    impl_->exports.Add(std::move(entry)).value();
  }
  impl_->nfs = MakeNfs3Program(impl_->exports);
  impl_->mount = MakeMount3Program(impl_->exports);
  impl_->portmap = MakePortmapProgram(
      impl_->registry, {.admits = [this](const rpc::Peer&) { return portmap_admits; }, .lacks = {}, .look = {}});
  impl_->nlm = MakeNlm4Program(
      impl_->exports,
      {.table = locks ? &impl_->locks : nullptr,
       .monitor = locks ? &impl_->monitor : nullptr,
       .send = [this](const rpc::Peer& host, std::uint32_t procedure, const std::vector<std::byte>& arguments) {
         const auto* const begin = reinterpret_cast<const char*>(arguments.data());
         lock_results.push_back(
             {host.address.to_string(), host.datagram, procedure, {begin, begin + arguments.size()}});
       }});
}
Harness::~Harness() = default;

bool Harness::NothingIsLocked() const { return impl_->locks.empty(); }
const std::vector<Harness::LockGrant>& Harness::LockGrants() const { return impl_->granted; }
void Harness::SetGrace(bool grace) { impl_->locks.SetGrace(grace); }

Bytes Harness::Handle(const vfs::ObjectId& id, const FakeFileSystem* of) const {
  Bytes bytes(nfs3::kHandleBytes);
  nfs3::EncodeHandle((of == nullptr ? *volume_ : *of).Volume(), id, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

Bytes Harness::WithHandles(std::string_view input) const {
  constexpr std::string_view kPlaceholder = "HANDLE";
  Bytes bytes;
  for (std::size_t at = 0; at < input.size();) {
    if (input.substr(at).starts_with(kPlaceholder) && at + kPlaceholder.size() < input.size()) {
      const auto choice = static_cast<unsigned char>(input[at + kPlaceholder.size()]);
      const std::uint64_t ino = choice & 7;
      vfs::ObjectId id{InodeNumber(ino), Generation(static_cast<std::uint32_t>(ino * 10)), ino * 1000};
      if (choice >= 0x80 && !others.empty()) id = others[(choice - 0x80) % others.size()];
      const Bytes handle = Handle(id);
      bytes.insert(bytes.end(), {0, 0, 0, 40});
      bytes.insert(bytes.end(), handle.begin(), handle.end());
      at += kPlaceholder.size() + 1;
    } else {
      bytes.push_back(input[at++]);
    }
  }
  return bytes;
}

namespace {

rpc::Peer PeerOf(const From& from) {
  rpc::Peer peer;
  peer.address = boost::asio::ip::make_address(from.address);
  peer.port = from.port;
  peer.local_socket = from.local_socket;
  peer.local_uid = from.local_uid;
  peer.datagram = from.datagram;
  peer.local = boost::asio::ip::make_address(from.local);
  return peer;
}

Bytes ToBytes(const rpc::ReplyBuffer& reply, std::size_t from) {
  std::vector<std::byte> out;
  reply.CopyTo(from, out);
  const char* begin = reinterpret_cast<const char*>(out.data());
  return {begin, begin + out.size()};
}

}  // namespace

bool Harness::Admits(std::uint32_t program) const { return impl_->Of(program).Admits(PeerOf(from)); }

Reply Harness::Call(std::uint32_t program, std::uint32_t version, std::uint32_t procedure, const Bytes& arguments) {
  const rpc::Peer peer = PeerOf(from);
  rpc::Call call;
  call.xid = 1;
  call.program = program;
  call.version = version;
  call.procedure = procedure;
  call.credentials = credentials;
  call.anonymous = anonymous;
  call.peer = &peer;
  call.may_block = may_block;
  call.fetch = &fetch;
  call.late = late;
  rpc::ReplyBuffer reply;
  std::memset(reply.Reserve(already_in_reply), 0x55, already_in_reply);
  reply.Commit(already_in_reply);
  rpc::XdrReader reader(AsBytes({arguments.data(), arguments.size()}));
  const rpc::Outcome outcome =
      impl_->Of(program).Procedures(version)[procedure].handler(impl_->Of(program), call, reader, reply);
  Reply result;
  result.accept = outcome.status;
  result.would_block = outcome.would_block;
  result.has_volume = outcome.volume != nullptr;
  result.commitment = outcome.commitment;
  result.lsn = outcome.lsn;
  result.bytes = ToBytes(reply, already_in_reply);
  return result;
}

Bytes Harness::FailureReply(std::uint32_t procedure) const {
  const auto failure = impl_->nfs->Procedures(3)[procedure].failure;
  if (failure == nullptr) return {};
  rpc::ReplyBuffer reply;
  failure(reply);
  return ToBytes(reply, 0);
}

std::vector<Harness::ProcedureInfo> Harness::Procedures(std::uint32_t program, std::uint32_t version) const {
  std::vector<ProcedureInfo> rows;
  for (const rpc::Procedure& row : impl_->Of(program).Procedures(version)) {
    rows.push_back({std::string(row.name), row.cached, row.always_blocks, row.handler != nullptr, row.largest_reply});
  }
  return rows;
}

void Harness::Register(std::uint32_t program, std::uint32_t version, const std::string& address, std::uint16_t port,
                       bool datagram) {
  impl_->registry.AddOwn(program, version, {boost::asio::ip::make_address(address), port}, datagram);
}

}  // namespace strata::testing
