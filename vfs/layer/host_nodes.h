// HostNodes: from a node's id to where it lies in a host folder.
//
// A host gives no way from an inode number to a file. So the way is remembered when a node is handed out: its parent's
// id and its name there. That memory is bounded, and a server may be asked for a node years after it forgot it. Then,
// in this order, these are tried:
//   1. a descriptor still open on the node;
//   2. the remembered place, checked by stat;
//   3. the parent that the caller names, whose entries are searched for the id; those of a large directory are indexed
//      as that is done;
//   4. a walk through the whole folder, for a directory or for a file with several links; what it did not find is not
//      looked for again for a while.
//
// What is found bears the id asked for, or the answer is kStale. So a file that was moved to another directory behind
// our back is not looked for beyond the one that held it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vfs/layer/host_cache.h"
#include "vfs/layer/host_files.h"
#include "vfs/layer/host_identity.h"
#include "vfs/layer/host_layer.h"

namespace strata::vfs::host {

// Where a node lies.
struct Spot {
  DescriptorRef directory;  // that holds it; of the root, the root itself
  std::uint64_t parent = 0;
  std::string name;  // "" for the root
  FileStatus status;
  std::string path;  // from the root, where it came up on the way
};

class HostNodes {
 public:
  // With a message.
  static Result<std::unique_ptr<HostNodes>> Open(const std::string& folder, const HostLayerOptions& options);

  std::uint64_t root_id() const { return root_id_; }
  const Identity& identity() const { return identity_; }

  // An O_PATH descriptor of the directory; kNotDirectory for another node.
  Result<DescriptorRef> OpenDirectory(const LayerNode& node);
  Result<Spot> Locate(const LayerNode& node);
  Result<std::string> PathOf(const LayerNode& node);

  // The descriptor that is open on the node, if one is.
  DescriptorRef OpenedOn(std::uint64_t id) { return descriptors_.Get(id); }
  void Keep(std::uint64_t id, DescriptorRef descriptor) { descriptors_.Put(id, std::move(descriptor)); }
  // The node is gone.
  void Forget(std::uint64_t id);
  void Remember(std::uint64_t id, std::uint64_t parent, std::string_view name) { places_.Put(id, parent, name); }
  // The id of the directory where the node was last seen; 0 where that is forgotten.
  std::uint64_t RememberedParent(std::uint64_t id);

  // As host::StatAt, but what is hidden is not there.
  Result<FileStatus> StatAt(int directory, std::string_view name) const;
  bool Hides(const FileStatus& status) const {
    return hidden_ != nullptr && status.stx_ino == hidden_status_.stx_ino &&
           DeviceOf(status) == DeviceOf(hidden_status_);
  }
  // As host::ForEachEntry, with the id of each entry: from the record where that can be believed, else from stat, which
  // is then given too. What is hidden and what goes away meanwhile is left out. `want_status(entry)`: stat is wanted in
  // any case.
  struct Entry {
    std::string_view name;
    std::uint64_t id = 0;
    FileType type = FileType::kRegular;
    const FileStatus* status = nullptr;
  };
  Result<void> ForEachEntry(int directory, const std::function<bool(const RawEntry&)>& want_status,
                            const std::function<bool(const Entry&)>& visit);

 private:
  HostNodes(Folder folder, const FileStatus& root_status, const HostLayerOptions& options);

  Result<DescriptorRef> OpenKnown(std::uint64_t id);
  Result<Spot> Search(std::uint64_t directory_id, std::uint64_t id);
  Result<std::optional<Spot>> SpotAt(const DescriptorRef& directory, std::uint64_t directory_id, std::uint64_t id,
                                     std::string_view name) const;
  Result<Spot> Walk(std::uint64_t id);
  Result<Spot> WalkAll(std::uint64_t id);

  const Folder folder_;
  Identity identity_;
  const std::uint64_t root_id_;
  DescriptorRef hidden_;  // null: nothing is hidden; held so that its inode number is not used again
  FileStatus hidden_status_{};
  std::uint64_t hidden_id_ = 0;
  PlaceCache places_;
  DescriptorCache descriptors_;
  IndexCache indices_;
  const std::int64_t recheck_after_ns_;
  Mutex missed_mutex_;
  ClockTable<std::int64_t> missed_ STRATA_GUARDED_BY(missed_mutex_);  // when a walk last looked for it in vain
};

}  // namespace strata::vfs::host
