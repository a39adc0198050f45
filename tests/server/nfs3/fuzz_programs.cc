// Arbitrary bytes as the arguments of every procedure of NFS, MOUNT and portmap. The first byte chooses the procedure;
// handles are made good, so that the bytes behind them are reached (Harness::WithHandles).
#include <cstdlib>
#include <string_view>

#include "tests/server/nfs3/harness.h"
#include "vfs/control_tree.h"

namespace {

using strata::FileType;
using strata::testing::Bytes;
using strata::testing::FakeFileSystem;
using strata::testing::Harness;

void Require(bool condition) {
  if (!condition) std::abort();
}

// Two of each kind that the control tree has.
std::vector<strata::vfs::ObjectId> ControlIds(std::shared_ptr<FakeFileSystem> volume) {
  strata::vfs::ControlTree tree(std::move(volume));
  std::vector<strata::vfs::ObjectId> ids;
  const auto find = [&](const strata::vfs::ObjectId& directory, std::string_view name) {
    ids.push_back(tree.Lookup({}, directory, name, nullptr).value().id);
    return ids.back();
  };
  const auto top = find(tree.Root(), ".strata");
  const auto names = find(top, "xattr-names"), note = find(find(top, "xattr"), "user.note");
  for (const auto& place : {names, note}) {
    find(place, "f");
    find(find(place, "d"), ".self");
  }
  return ids;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 70'000) return 0;
  std::vector<Harness::ExportRules> exports(1);
  exports[0].volume = std::make_shared<FakeFileSystem>();
  exports[0].control_tree = (data[1] & 16) != 0;
  Harness harness(exports);
  FakeFileSystem& volume = harness.volume();
  volume.Make(volume.Root(), "f", FileType::kRegular, "content");  // 2
  volume.Make(volume.Root(), "l", FileType::kSymlink, "target");   // 3
  volume.Make(volume.Root(), "d", FileType::kDirectory);           // 4
  volume.xattrs[2] = volume.xattrs[4] = {{"user.note", "value"}};
  if (exports[0].control_tree) harness.others = ControlIds(exports[0].volume);
  harness.may_block = (data[1] & 1) != 0;
  volume.must_wait = (data[1] & 2) != 0;
  volume.hide_attributes = (data[1] & 4) != 0;
  volume.reference_data = (data[1] & 8) != 0;
  harness.Register(100003, 3, "0.0.0.0", 2049, false);

  const Bytes arguments = harness.WithHandles({reinterpret_cast<const char*>(data) + 2, size - 2});
  struct Table {
    std::uint32_t program, version;
  };
  std::size_t choice = data[0];
  for (const Table& table : {Table{Harness::kNfs, 3}, Table{Harness::kMount, 3}, Table{Harness::kPortmap, 2},
                             Table{Harness::kPortmap, 3}, Table{Harness::kPortmap, 4}}) {
    const auto rows = harness.Procedures(table.program, table.version);
    if (choice >= rows.size()) {
      choice -= rows.size();
      continue;
    }
    if (!rows[choice].has_handler) return 0;
    if (rows[choice].always_blocks) harness.may_block = true;
    const auto reply = harness.Call(table.program, table.version, static_cast<std::uint32_t>(choice), arguments);
    if (reply.would_block) Require(!harness.may_block && reply.bytes.empty());
    if (reply.accept == strata::testing::kAccepted) {
      Require(reply.bytes.size() <= rows[choice].largest_reply);
      Require(reply.bytes.size() % 4 == 0);
    }
    return 0;
  }
  return 0;
}
