// ControlTree: a volume, and in it what NFSv3 has no words for: extended attributes, as files of a hidden tree.
//
//     /.strata/xattr-names/PATH   the names of PATH's extended attributes, one a line
//     /.strata/xattr/NAME/PATH    the value of PATH's attribute NAME; not there where PATH has none
//
// What is no directory at PATH is a regular file there. A directory is one there too, in which the file `.self` tells
// of the directory itself, unless the directory has a `.self` of its own. `.strata` is found by its name and is never
// listed; a `.strata` of the volume's own is found in its place. Only `.strata` has a listing of what lies in it: to
// list what lies beneath would be to ask every object of a directory for its attributes.
//
// Nothing in the tree can be changed (kReadOnly). Owner and mode are those of the object that it tells of, without the
// write bits, and without the x bits of what is no directory. So an attribute can be read by whom the object can be
// read by. Those of the superuser (`trusted.`) are its files alone, and not among the names. Existence and size are the
// same for all callers, since clients share what they know of a file among their users. mtime is the object's ctime,
// which moves when an attribute is set.
//
// Nothing is kept. What it gives as ObjectId says all, so that handles are good after a restart:
//     ino         bit 63, and the object's number mixed with the locator, so that each of an object's files and places
//                 has a fileid of its own
//     generation  the object's
//     locator     what of it this is, and 60 bits of a hash of NAME
// NAME itself need not be known: it is the one of the object's names that has this hash.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vfs/file_system.h"

namespace strata::vfs {

// Every call that is not of the tree goes to the volume as it came. Thread-safe as the volume is.
class ControlTree final : public FileSystem {
 public:
  // The volume's numbers must be below 2^63. It must find its objects by number and generation alone, perhaps more
  // slowly than with their locator, and resolve "..".
  explicit ControlTree(std::shared_ptr<FileSystem> volume);

  const VolumeInfo& Volume() const override { return volume_->Volume(); }
  ObjectId Root() const override { return root_; }
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
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const ObjectId& id) override;
  Result<std::string> GetXattr(const OpContext& context, const ObjectId& id, std::string_view name) override;
  Result<SpaceUsage> Usage(const OpContext& context, const ObjectId& id) override;
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
  WriteVerifier CurrentWriteVerifier() const override { return volume_->CurrentWriteVerifier(); }
  std::vector<PastRequest> PastRequests() override { return volume_->PastRequests(); }
  void WatchRemovals(std::shared_ptr<RemovalWatch> watch) override { volume_->WatchRemovals(std::move(watch)); }
  void LendMemory(std::size_t bytes) override { volume_->LendMemory(bytes); }
  Result<void> Flush() override { return volume_->Flush(); }
  void Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) override { volume_->Sync(lsn, std::move(done)); }

 private:
  // Values stand in handles: none is ever used for anything else.
  enum class Kind : std::uint8_t {
    kTop = 1,        // /.strata, of the root
    kXattr = 2,      // /.strata/xattr, of the root
    kNames = 3,      // a place beneath /.strata/xattr-names, of the object there
    kValue = 4,      // a place beneath /.strata/xattr/NAME
    kSelfNames = 5,  // the `.self` of such a place
    kSelfValue = 6,
  };
  // What an ObjectId of the tree says. `object` has a locator only where it is the root.
  struct Place {
    Kind kind = Kind::kTop;
    std::uint64_t hash = 0;  // of NAME; 0 where there is none
    ObjectId object;
  };
  struct Content {
    std::string bytes;
    bool for_superuser = false;
  };

  static bool IsOurs(const ObjectId& id) { return id.ino.value >> 63 != 0; }
  bool IsRoot(const ObjectId& id) const { return id.ino == root_.ino && id.generation == root_.generation; }
  bool IsTop(const ObjectId& directory, std::string_view name) const;
  static ObjectId IdOf(const Place& place);
  // kBadHandle for what is none of the tree's.
  Result<Place> PlaceOf(const ObjectId& id) const;
  std::uint64_t HashOf(std::string_view name) const;

  static bool IsDirectory(const Place& place, const Attributes& of_object);
  static Entry DirectoryAt(const Place& place, const Attributes& of_object);
  static Entry FileAt(const Place& place, const Attributes& of_object, const Content& content);
  // kNotFound where the object has no such attribute.
  Result<Entry> EntryAt(const OpContext& context, const Place& place, const Attributes& of_object);
  // What the file holds. A value is read with the caller's rights.
  Result<Content> ContentAt(const OpContext& context, const Place& place);
  Result<Entry> EntryOf(const OpContext& context, const ObjectId& id);
  // Of a directory of the tree: the one above it.
  Result<Entry> Above(const OpContext& context, const Place& place, const Attributes& of_object);

  Result<Entry> FindTop(const OpContext& context, const ObjectId& directory, std::string_view name,
                        std::optional<Attributes>* directory_after);
  Result<Entry> LookupWithin(const OpContext& context, const ObjectId& directory, std::string_view name,
                             std::optional<Attributes>* directory_after);
  Result<Entry> LookupAtTop(const OpContext& context, const Place& place, std::string_view name,
                            std::optional<Attributes>* directory_after);
  Result<Entry> LookupBeneath(const OpContext& context, const Place& place, std::string_view name,
                              std::optional<Attributes>* directory_after);
  Result<ReadResult> ReadWithin(const OpContext& context, const ObjectId& id, std::uint64_t offset, std::uint32_t count,
                                ReadSink& sink);
  Result<Listing> ListWithin(const OpContext& context, const ObjectId& directory, Cookie cookie, bool want_attributes,
                             DirectorySink& sink);
  // `result`, but kReadOnly for a `.strata` that the volume does not have and clients are shown.
  Result<void> Removed(const ObjectId& directory, std::string_view name, Result<void> result) const;

  const std::shared_ptr<FileSystem> volume_;
  const ObjectId root_;
  const SipHashKey name_key_;
};

}  // namespace strata::vfs
