// The reference: a POSIX file system in memory, made of maps and one lock, written to be obviously right and nothing
// else.
//
// Where a call has several faults, each of them is a right answer: Faults() names them all.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "vfs/file_system.h"

namespace strata::vfs::testing {

// Permission bits of one class.
inline constexpr std::uint32_t kRead = 4;
inline constexpr std::uint32_t kWrite = 2;
inline constexpr std::uint32_t kExecute = 1;

class ModelFileSystem : public FileSystem {
 public:
  explicit ModelFileSystem(bool read_only = false);

  // The codes with which the last call may have failed; empty: it had to succeed. For one caller at a time.
  const std::set<Errc>& Faults() const { return faults_; }
  void SetReadOnly(bool read_only) { info_.read_only = read_only; }

  const VolumeInfo& Volume() const override { return info_; }
  ObjectId Root() const override;
  Result<Attributes> GetAttributes(const OpContext& context, const ObjectId& id) override;
  Result<Entry> Lookup(const OpContext& context, const ObjectId& directory, std::string_view name,
                       std::optional<Attributes>* directory_after) override;
  Result<ReadResult> Read(const OpContext& context, const ObjectId& id, std::uint64_t offset, std::uint32_t count,
                          ReadSink& sink) override;
  Result<Listing> ReadDirectory(const OpContext& context, const ObjectId& directory, Cookie cookie,
                                bool want_attributes, DirectorySink& sink) override;
  Result<std::uint32_t> Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                               std::optional<Attributes>* after) override;
  Result<std::string> ReadLink(const OpContext& context, const ObjectId& id, std::optional<Attributes>* after) override;
  Result<void> SetAttributesOf(const OpContext& context, const ObjectId& id, const SetAttributes& set,
                               std::optional<Time> guard, Mutation& mutation) override;
  Result<std::uint32_t> Write(const OpContext& context, const ObjectId& id, std::uint64_t offset, ByteSpan data,
                              Stability stability, Mutation& mutation) override;
  Result<Entry> Create(const OpContext& context, const ObjectId& directory, std::string_view name, CreateMode mode,
                       const SetAttributes& set, const CreateVerifier& verifier, Mutation& mutation) override;
  Result<Entry> MakeDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                              const SetAttributes& set, Mutation& mutation) override;
  Result<Entry> MakeSymlink(const OpContext& context, const ObjectId& directory, std::string_view name,
                            std::string_view target, const SetAttributes& set, Mutation& mutation) override;
  Result<Entry> MakeNode(const OpContext& context, const ObjectId& directory, std::string_view name, FileType type,
                         DeviceNumber device, const SetAttributes& set, Mutation& mutation) override;
  Result<void> Remove(const OpContext& context, const ObjectId& directory, std::string_view name,
                      Mutation& mutation) override;
  Result<void> RemoveDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                               Mutation& mutation) override;
  Result<void> Rename(const OpContext& context, const ObjectId& from_directory, std::string_view from,
                      const ObjectId& to_directory, std::string_view to, Mutation& mutation) override;
  Result<void> Link(const OpContext& context, const ObjectId& id, const ObjectId& directory, std::string_view name,
                    std::optional<Attributes>* after, Mutation& mutation) override;
  Result<void> Commit(const OpContext& context, const ObjectId& id, Mutation& mutation) override;

 private:
  static constexpr std::uint64_t kBlock = 4096;
  using Block = std::array<char, kBlock>;

  struct Child {
    std::uint64_t ino = 0;
    std::uint64_t cookie = 0;
  };
  struct Node {
    Attributes attributes;
    std::map<std::uint64_t, Block> blocks;  // by offset / kBlock
    std::string target;
    CreateVerifier verifier{};
    bool exclusive = false;
    std::map<std::string, Child, std::less<>> children;
    std::uint64_t parent = 0;
  };
  // Fills a Change: what the node is when this is made, and when it ends.
  class Watch {
   public:
    Watch(Node* node, Change& change) : node_(node), change_(change) {
      if (node_ == nullptr) return;
      change_.before = {node_->attributes.size, node_->attributes.mtime, node_->attributes.ctime};
    }
    ~Watch() {
      if (node_ != nullptr) change_.after = node_->attributes;
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    Node* node_;
    Change& change_;
  };

  Node* Find(const ObjectId& id);           // kStale, kBadHandle
  Node* FindDirectory(const ObjectId& id);  // and kNotDirectory
  Node* ChildOf(Node& directory, std::string_view name);
  bool May(const Node& node, const Credentials& who, std::uint32_t bits) const;  // 4 read, 2 write, 1 execute
  static bool Owns(const Node& node, const Credentials& who);
  void CheckEntryChange(const Node& directory, const Node* victim, const Credentials& who);
  bool CheckNewNameOf(std::string_view name);  // false: nothing else is worth checking
  bool Holds(const Node& ancestor, const Node* node);
  Time Tick();
  void Touched(Node& node);  // mtime and ctime
  Entry EntryOf(const Node& node) const;
  Node& Make(Node& directory, std::string_view name, FileType type, std::uint32_t default_mode,
             const SetAttributes& set, const Credentials& who);
  void Add(Node& directory, std::string_view name, Node& node);
  void Drop(Node& directory, std::string_view name, Node& node);
  void Resize(Node& node, std::uint64_t size);
  void Fault(Errc code) { faults_.insert(code); }
  void FaultIf(bool wrong, Errc code) {
    if (wrong) faults_.insert(code);
  }
  // The failure to answer with, if there is any.
  std::unexpected<Status> Failed() const { return std::unexpected(Status(*faults_.begin())); }
  Result<Entry> MakeChecked(const OpContext& context, const ObjectId& directory, std::string_view name, FileType type,
                            std::uint32_t default_mode, const SetAttributes& set, Errc also, Mutation& mutation);

  std::mutex mutex_;
  VolumeInfo info_;
  std::map<std::uint64_t, std::unique_ptr<Node>> nodes_;
  std::uint64_t last_ino_ = 1;
  std::uint64_t last_cookie_ = 2;
  Time now_;
  std::set<Errc> faults_;
};

}  // namespace strata::vfs::testing
