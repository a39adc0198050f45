#include "server/mount3/program.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "mount3_xdr.h"
#include "server/mount3/mount_list.h"
#include "server/nfs3/handle.h"
#include "server/portmap/tirpc_xdr.h"

namespace strata {
namespace mount3 {
namespace {

constexpr std::size_t kMaxPathBytes = 1024;   // MNTPATHLEN
constexpr std::size_t kMaxShownRanges = 256;  // of one export, in EXPORT
constexpr std::size_t kMaxListReply = 2 << 20;

class Mount3Program final : public rpc::Program {
 public:
  explicit Mount3Program(const Exports& exports) : exports_(exports) {}
  std::uint32_t number() const override { return kMountProgram; }
  std::string_view name() const override { return "mount"; }
  std::uint32_t low_version() const override { return 3; }
  std::uint32_t high_version() const override { return 3; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t version) const override;
  bool Admits(const rpc::Peer& peer) const override { return exports_.AdmitsAddress(peer); }

  const Exports& exports() const { return exports_; }
  MountList& mounts() { return mounts_; }

 private:
  const Exports& exports_;
  MountList mounts_{kMaxRememberedMounts};
};

Mount3Program& Self(rpc::Program& program) { return static_cast<Mount3Program&>(program); }

rpc::Outcome Fault() {
  rpc::Outcome outcome;
  outcome.status = SYSTEM_ERR;
  return outcome;
}

using PathArgument = Decoded<mount3_path, xdr_mount3_path>;
std::string_view PathOf(const PathArgument& argument) { return {argument->mount3_path_val, argument->mount3_path_len}; }

// rpcgen's opaque<> members take char*, and only read it when they encode.
void Point(u_int& length, char*& at, std::string_view text) {
  length = static_cast<u_int>(text.size());
  at = const_cast<char*>(text.data());
}

std::string HostOf(const rpc::Call& call) {
  if (call.peer == nullptr || call.peer->local_socket) return "localhost";
  return call.peer->address.to_string();
}

// "/a/b" of "//a/b/": how DUMP and UMNT call a path.
std::string Canonical(std::string_view path) {
  std::string canonical;
  while (!path.empty()) {
    const std::size_t begin = path.find_first_not_of('/');
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(path.find('/', begin), path.size());
    canonical += '/';
    canonical += path.substr(begin, end - begin);
    path.remove_prefix(end);
  }
  return canonical.empty() ? "/" : canonical;
}

mount3_stat StatusOf(Errc code) {
  switch (code) {
    case Errc::kPermission:
      return MNT3ERR_PERM;
    case Errc::kNotFound:
    case Errc::kStale:
      return MNT3ERR_NOENT;
    case Errc::kAccess:
      return MNT3ERR_ACCES;
    case Errc::kNotDirectory:
      return MNT3ERR_NOTDIR;
    case Errc::kInvalid:
      return MNT3ERR_INVAL;
    case Errc::kNameTooLong:
      return MNT3ERR_NAMETOOLONG;
    case Errc::kNotSupported:
      return MNT3ERR_NOTSUPP;
    case Errc::kServerFault:
      return MNT3ERR_SERVERFAULT;
    default:
      return MNT3ERR_IO;
  }
}

struct MountPoint {
  const Export* entry = nullptr;
  vfs::ObjectId id;
};

// The directory that a client asks to mount. What the peer may not have is not looked up.
Result<MountPoint> Find(const Exports& exports, const rpc::Call& call, std::string_view path) {
  if (path.size() > kMaxPathBytes) return Fail(Errc::kNameTooLong);
  if (path.find('\0') != std::string_view::npos) return Fail(Errc::kInvalid);
  // An empty path is how libnfs asks for "/".
  if (!path.empty() && path.front() != '/') return Fail(Errc::kNotFound);
  std::string_view rest;
  MountPoint point;
  point.entry = exports.FindPath(path, &rest);
  if (point.entry == nullptr) return Fail(Errc::kNotFound);
  if (call.peer == nullptr || !point.entry->Admits(*call.peer)) return Fail(Errc::kAccess);

  vfs::FileSystem& volume = *point.entry->volume;
  point.id = volume.Root();
  // The superuser: the export's rules alone decide who may mount.
  const vfs::OpContext context{.credentials = {}, .may_block = call.may_block, .fetch = call.fetch};
  STRATA_ASSIGN(Attributes attributes, volume.GetAttributes(context, point.id));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(rest.find_first_not_of('/', end), rest.size()));
    if (attributes.type != FileType::kDirectory) return Fail(Errc::kNotDirectory);
    STRATA_ASSIGN(const vfs::Entry found, volume.Lookup(context, point.id, name, nullptr));
    point.id = found.id;
    attributes = found.attributes;
  }
  if (attributes.type != FileType::kDirectory) return Fail(Errc::kNotDirectory);
  return point;
}

rpc::Outcome Null(rpc::Program&, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  return arguments.Finished() ? rpc::Outcome{} : rpc::Outcome::Garbage();
}

// As it stands in the record: what is decoded is gone before the line is written.
void TracePath(const rpc::Call& call, rpc::XdrReader arguments) {
  if (call.trace != nullptr) call.trace->name = arguments.Text(kMaxPathBytes);
}

rpc::Outcome Mnt(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  TracePath(call, arguments);
  PathArgument argument;
  if (!argument.Decode(arguments)) return rpc::Outcome::Garbage();
  const std::string_view path = PathOf(argument);
  mount3_result result{};
  const auto point = Find(Self(program).exports(), call, path);
  if (!point && point.error().code() == Errc::kWouldBlock && !call.late) return rpc::Outcome::WouldBlock();
  result.status = point ? MNT3_OK : StatusOf(point.error().code());
  if (call.trace != nullptr) {
    call.trace->status = result.status;
    if (point) call.trace->inode = point->id.ino.value;
  }
  std::byte handle[nfs3::kHandleBytes];
  std::array<u_int, 2> flavors = {AUTH_SYS, AUTH_NONE};
  if (point) {
    nfs3::EncodeHandle(point->entry->volume->Volume(), point->id, handle);
    mount3_ok& info = result.mount3_result_u.info;
    Point(info.handle.handle_len, info.handle.handle_val, AsText(handle));
    info.flavors.flavors_len = flavors.size();
    info.flavors.flavors_val = flavors.data();
  }
  if (!Encode(xdr_mount3_result, result, reply)) return Fault();
  if (point) Self(program).mounts().Add(HostOf(call), Canonical(path));
  return {};
}

rpc::Outcome Dump(rpc::Program& program, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const std::vector<Mount> mounts = Self(program).mounts().All();
  std::vector<mount3_mount> nodes(mounts.size());
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    Point(nodes[i].host.mount3_name_len, nodes[i].host.mount3_name_val, mounts[i].host);
    Point(nodes[i].directory.mount3_path_len, nodes[i].directory.mount3_path_val, mounts[i].directory);
    nodes[i].next = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
  }
  mount3_mounts first = nodes.empty() ? nullptr : nodes.data();
  return Encode(xdr_mount3_mounts, first, reply) ? rpc::Outcome{} : Fault();
}

rpc::Outcome Umnt(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  TracePath(call, arguments);
  PathArgument argument;
  if (!argument.Decode(arguments)) return rpc::Outcome::Garbage();
  Self(program).mounts().Remove(HostOf(call), Canonical(PathOf(argument)));
  return {};
}

rpc::Outcome UmntAll(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  Self(program).mounts().RemoveAll(HostOf(call));
  return {};
}

rpc::Outcome ExportList(rpc::Program& program, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const std::vector<Export>& exports = Self(program).exports().all();
  std::vector<mount3_export> nodes(exports.size());
  std::deque<mount3_group> groups;  // whose elements do not move
  std::deque<std::string> names;
  const auto add_group = [&](mount3_groups& first, std::string name) {
    names.push_back(std::move(name));
    mount3_group& group = groups.emplace_back();
    Point(group.name.mount3_name_len, group.name.mount3_name_val, names.back());
    group.next = first;
    first = &group;
  };
  for (std::size_t i = 0; i < exports.size(); ++i) {
    const ExportOptions& options = exports[i].options;
    Point(nodes[i].directory.mount3_path_len, nodes[i].directory.mount3_path_val, options.path);
    nodes[i].groups = nullptr;
    // The list grows at its head: the last range first, and before all of them loopback, without which the list would
    // read as "everyone".
    const std::size_t shown = std::min(options.allow.size(), kMaxShownRanges);
    for (std::size_t n = shown; n-- > 0;) {
      add_group(nodes[i].groups, options.allow[n].ToString());
    }
    add_group(nodes[i].groups, "localhost");
    nodes[i].next = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
  }
  mount3_exports first = nodes.empty() ? nullptr : nodes.data();
  return Encode(xdr_mount3_exports, first, reply) ? rpc::Outcome{} : Fault();
}

constexpr rpc::Procedure Row(std::uint32_t number, std::string_view name,
                             rpc::Outcome (*handler)(rpc::Program&, const rpc::Call&, rpc::XdrReader&,
                                                     rpc::ReplyBuffer&)) {
  rpc::Procedure row;
  row.number = number;
  row.name = name;
  row.handler = handler;
  return row;
}

constexpr std::array<rpc::Procedure, 6> Table() {
  std::array<rpc::Procedure, 6> table = {Row(0, "NULL", Null),       Row(1, "MNT", Mnt),
                                         Row(2, "DUMP", Dump),       Row(3, "UMNT", Umnt),
                                         Row(4, "UMNTALL", UmntAll), Row(5, "EXPORT", ExportList)};
  table[1].always_blocks = true;  // it walks the tree, by Lookup
  table[2].largest_reply = kMaxListReply;
  table[5].largest_reply = kMaxListReply;
  return table;
}
constexpr std::array<rpc::Procedure, 6> kTable = Table();

std::span<const rpc::Procedure> Mount3Program::Procedures(std::uint32_t) const { return kTable; }

}  // namespace
}  // namespace mount3

std::unique_ptr<rpc::Program> MakeMount3Program(const Exports& exports) {
  return std::make_unique<mount3::Mount3Program>(exports);
}

}  // namespace strata
