// FakeFileSystem: a volume in memory whose every answer a test can foretell, and can make fail or wait.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vfs/file_system.h"

namespace strata::testing {

// No permissions are checked, but those of extended attributes. Times are a counter of nanoseconds. Not thread-safe.
class FakeFileSystem : public vfs::FileSystem {
 public:
  explicit FakeFileSystem(std::uint64_t volume_id = 7, SipHashKey key = {1, 2});

  // -- What a test sets. --
  std::optional<Errc> failure;                             // of every call but GetAttributes
  bool must_wait = false;                                  // kWouldBlock for calls that may not
  std::shared_ptr<Fetch> fetch;                            // what every call waits for until it is done
  bool attributes_in_memory = false;                       // GetAttributes does not wait for it
  bool attributes_fail = false;                            // GetAttributes fails with kIo
  bool hide_attributes = false;                            // optional attributes are not given
  bool pairs = false;                                      // entries of a listing leave two by two or not at all
  bool reference_data = false;                             // READ gives pinned memory rather than a copy
  vfs::Commitment commitment = vfs::Commitment::kWritten;  // of changes that succeed
  std::map<std::uint64_t, std::map<std::string, std::string, std::less<>>> xattrs;  // of each object by its number
  vfs::WriteVerifier verifier{9, 8, 7, 6, 5, 4, 3, 2};

  // -- What a test reads. --
  int calls = 0;  // of any method that takes a context
  vfs::Credentials last_credentials;
  vfs::SetAttributes last_set;
  std::optional<Time> last_guard;
  std::uint64_t last_offset = 0;
  std::uint32_t last_count = 0;
  const std::byte* last_data = nullptr;
  vfs::Stability last_stability = vfs::Stability::kUnstable;
  DeviceNumber last_device;
  vfs::CreateVerifier last_verifier{};
  vfs::CreateMode last_mode = vfs::CreateMode::kUnchecked;

  // Makes an object; its id.
  vfs::ObjectId Make(const vfs::ObjectId& directory, std::string_view name, FileType type, std::string content = "");
  Attributes AttributesOf(const vfs::ObjectId& id) { return nodes_.at(id.ino.value).attributes; }
  Attributes& MutableAttributesOf(const vfs::ObjectId& id) { return nodes_.at(id.ino.value).attributes; }
  vfs::VolumeInfo& info() { return info_; }

  const vfs::VolumeInfo& Volume() const override { return info_; }
  vfs::ObjectId Root() const override;
  Result<Attributes> GetAttributes(const vfs::OpContext& context, const vfs::ObjectId& id) override;
  Result<vfs::Entry> Lookup(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                            std::optional<Attributes>* directory_after) override;
  Result<vfs::ReadResult> Read(const vfs::OpContext& context, const vfs::ObjectId& id, std::uint64_t offset,
                               std::uint32_t count, vfs::ReadSink& sink) override;
  Result<vfs::Listing> ReadDirectory(const vfs::OpContext& context, const vfs::ObjectId& directory, Cookie cookie,
                                     bool want_attributes, vfs::DirectorySink& sink) override;
  Result<std::uint32_t> Access(const vfs::OpContext& context, const vfs::ObjectId& id, std::uint32_t wanted,
                               std::optional<Attributes>* after) override;
  Result<std::string> ReadLink(const vfs::OpContext& context, const vfs::ObjectId& id,
                               std::optional<Attributes>* after) override;
  Result<std::vector<std::string>> ListXattr(const vfs::OpContext& context, const vfs::ObjectId& id) override;
  Result<std::string> GetXattr(const vfs::OpContext& context, const vfs::ObjectId& id, std::string_view name) override;
  Result<vfs::SpaceUsage> Usage(const vfs::OpContext& context, const vfs::ObjectId& id) override;
  Result<void> SetAttributesOf(const vfs::OpContext& context, const vfs::ObjectId& id, const vfs::SetAttributes& set,
                               std::optional<Time> guard, vfs::Mutation& mutation) override;
  Result<std::uint32_t> Write(const vfs::OpContext& context, const vfs::ObjectId& id, std::uint64_t offset,
                              ByteSpan data, vfs::Stability stability, vfs::Mutation& mutation) override;
  Result<vfs::Entry> Create(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                            vfs::CreateMode mode, const vfs::SetAttributes& set,
                            const vfs::CreateVerifier& create_verifier, vfs::Mutation& mutation) override;
  Result<vfs::Entry> MakeDirectory(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                                   const vfs::SetAttributes& set, vfs::Mutation& mutation) override;
  Result<vfs::Entry> MakeSymlink(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                                 std::string_view target, const vfs::SetAttributes& set,
                                 vfs::Mutation& mutation) override;
  Result<vfs::Entry> MakeNode(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                              FileType type, DeviceNumber device, const vfs::SetAttributes& set,
                              vfs::Mutation& mutation) override;
  Result<void> Remove(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                      vfs::Mutation& mutation) override;
  Result<void> RemoveDirectory(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                               vfs::Mutation& mutation) override;
  Result<void> Rename(const vfs::OpContext& context, const vfs::ObjectId& from_directory, std::string_view from,
                      const vfs::ObjectId& to_directory, std::string_view to, vfs::Mutation& mutation) override;
  Result<void> Link(const vfs::OpContext& context, const vfs::ObjectId& id, const vfs::ObjectId& directory,
                    std::string_view name, std::optional<Attributes>* after, vfs::Mutation& mutation) override;
  Result<void> Commit(const vfs::OpContext& context, const vfs::ObjectId& id, vfs::Mutation& mutation) override;
  vfs::WriteVerifier CurrentWriteVerifier() const override { return verifier; }

 private:
  struct Child {
    std::string name;
    std::uint64_t ino = 0;
    std::uint64_t cookie = 0;
  };
  struct Node {
    Attributes attributes;
    std::string content;
    std::vector<Child> children;
    std::uint64_t parent = 0;
  };

  Result<Node*> Begin(const vfs::OpContext& context, const vfs::ObjectId& id, vfs::Change* change = nullptr);
  vfs::ObjectId IdOf(std::uint64_t ino) const;
  vfs::Entry EntryOf(std::uint64_t ino) const { return {IdOf(ino), nodes_.at(ino).attributes}; }
  // The change of `node` as it ends: new times, and the mutation filled.
  void End(Node& node, vfs::Change& change, vfs::Mutation& mutation);
  Result<vfs::Entry> MakeNew(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                             FileType type, std::string content, const vfs::SetAttributes& set,
                             vfs::Mutation& mutation);
  Result<void> Drop(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                    bool is_directory, vfs::Mutation& mutation);
  void Give(const Node& node, std::optional<Attributes>* after) const {
    if (after != nullptr && !hide_attributes) *after = node.attributes;
  }

  vfs::VolumeInfo info_;
  std::map<std::uint64_t, Node> nodes_;
  std::uint64_t next_ino_ = 2;
  std::uint64_t next_cookie_ = 3;
  std::int64_t now_ = 1'700'000'000'000'000'000;
};

}  // namespace strata::testing
