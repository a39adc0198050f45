// A small client over vfs::FileSystem for tests: by path or by object, as a given user. It does what the server does:
// it calls with may_block false first and repeats with true where told to, and it takes no answer before the commitment
// of the change is met.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vfs/file_system.h"
#include "vfs/string_sink.h"

namespace strata::vfs::testing {

// A folder that is gone with its object.
class TempFolder {
 public:
  // In memory where the host has /dev/shm: most tests sync after each change. kDisk: where TMPDIR says.
  enum class Place { kMemory, kDisk };
  explicit TempFolder(Place place = Place::kMemory);
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Credentials User(std::uint32_t uid, std::uint32_t gid, std::initializer_list<std::uint32_t> groups = {});

struct Listed {
  std::string name;
  ObjectId id;
  Cookie cookie;
  std::optional<Attributes> attributes;
};

// Collects at most `limit` entries.
class EntrySink : public DirectorySink {
 public:
  explicit EntrySink(std::size_t limit) : limit_(limit) {}
  bool Add(const DirectoryEntry& entry) override;
  std::size_t Mark() override { return entries.size(); }
  void Rewind(std::size_t mark) override { entries.resize(mark); }
  std::vector<Listed> entries;

 private:
  std::size_t limit_;
};

struct Page {
  std::vector<Listed> entries;
  bool eof = false;
};

struct ReadAnswer {
  std::string data;
  bool eof = false;
  std::optional<Attributes> after;
};

// What is called. A test restarts what is behind it, so the client asks for it anew at each call.
class FileSystemHolder {
 public:
  virtual ~FileSystemHolder() = default;
  virtual FileSystem& fs() = 0;
};

class Client {
 public:
  explicit Client(FileSystemHolder& holder, Credentials who = {}) : holder_(&holder), who_(who) {}
  Client As(const Credentials& who) const {
    Client client(*holder_, who);
    client.park_ = park_;
    return client;
  }
  // From now on a call that waits for something from elsewhere parks, as on the server: `park` sees to it that the
  // Fetch is done, and the call is run again. False: the call is given up, and fails with kWouldBlock.
  void Parks(std::function<bool(Fetch&)> park) { park_ = std::move(park); }

  // What the last changing call reported.
  const Mutation& mutation() const { return mutation_; }
  // How many calls had to be repeated with may_block.
  std::uint64_t blocked() const { return blocked_; }
  // How often a call parked.
  std::uint64_t parked() const { return parked_; }

  // -- By object, as FileSystem has them. --
  ObjectId Root() const { return holder_->fs().Root(); }
  Result<Attributes> Get(const ObjectId& id);
  Result<Entry> Lookup(const ObjectId& directory, std::string_view name, std::optional<Attributes>* after = nullptr);
  // Of the bits asked for, those granted.
  Result<std::uint32_t> Access(const ObjectId& id, std::uint32_t wanted = 0x3f);
  Result<std::string> ReadLink(const ObjectId& id);
  Result<std::vector<std::string>> ListXattr(const ObjectId& id);
  Result<std::string> GetXattr(const ObjectId& id, std::string_view name);
  Result<ReadAnswer> Read(const ObjectId& id, std::uint64_t offset, std::uint32_t count);
  Result<Page> ListPage(const ObjectId& directory, Cookie cookie, std::size_t limit, bool want_attributes = true);
  Result<void> Set(const ObjectId& id, const SetAttributes& set, std::optional<Time> guard = {});
  Result<std::uint32_t> Write(const ObjectId& id, std::uint64_t offset, std::string_view data,
                              Stability stability = Stability::kUnstable);
  Result<Entry> Create(const ObjectId& directory, std::string_view name, CreateMode mode = CreateMode::kGuarded,
                       const SetAttributes& set = {}, const CreateVerifier& verifier = {});
  Result<Entry> MakeDirectory(const ObjectId& directory, std::string_view name, const SetAttributes& set = {});
  Result<Entry> MakeSymlink(const ObjectId& directory, std::string_view name, std::string_view target,
                            const SetAttributes& set = {});
  Result<Entry> MakeNode(const ObjectId& directory, std::string_view name, FileType type, DeviceNumber device,
                         const SetAttributes& set = {});
  Result<void> Remove(const ObjectId& directory, std::string_view name);
  Result<void> RemoveDirectory(const ObjectId& directory, std::string_view name);
  Result<void> Rename(const ObjectId& from_directory, std::string_view from, const ObjectId& to_directory,
                      std::string_view to);
  Result<void> Link(const ObjectId& id, const ObjectId& directory, std::string_view name);
  Result<void> Commit(const ObjectId& id);

  // -- By path, from the root, '/' between names; no symlink is followed. --
  Result<Entry> Walk(std::string_view path);
  Result<ObjectId> Id(std::string_view path);
  Result<Attributes> Stat(std::string_view path);
  // The object of `path`, which must exist: else a test failure and an object that is none.
  ObjectId IdOf(std::string_view path);
  Attributes StatOf(std::string_view path);
  Result<std::string> ReadFile(std::string_view path);
  // All bytes, in pieces of `piece`.
  Result<std::string> ReadAll(const ObjectId& id, std::uint32_t piece = 1 << 20);
  // Makes the file if need be, sets its size to 0 and writes.
  Result<ObjectId> WriteFile(std::string_view path, std::string_view data, std::uint32_t mode = 0644);
  Result<std::uint32_t> WriteAt(std::string_view path, std::uint64_t offset, std::string_view data);
  Result<ObjectId> MakeFile(std::string_view path, std::uint32_t mode = 0644);  // guarded
  Result<ObjectId> Mkdir(std::string_view path, std::uint32_t mode = 0755);
  Result<ObjectId> Symlink(std::string_view target, std::string_view path);
  Result<std::string> ReadLinkAt(std::string_view path);
  Result<std::vector<std::string>> ListXattrAt(std::string_view path);
  Result<std::string> GetXattrAt(std::string_view path, std::string_view name);
  Result<void> LinkAt(std::string_view existing, std::string_view path);
  Result<void> RenameAt(std::string_view from, std::string_view to);
  Result<void> Unlink(std::string_view path);
  Result<void> Rmdir(std::string_view path);
  Result<void> Chmod(std::string_view path, std::uint32_t mode);
  Result<void> Chown(std::string_view path, std::optional<std::uint32_t> uid, std::optional<std::uint32_t> gid);
  Result<void> Truncate(std::string_view path, std::uint64_t size);
  // Every entry, "." and ".." too, in pages of `page` entries; fails the test if one comes twice or a listing does not
  // end.
  Result<std::vector<Listed>> ListAll(const ObjectId& directory, std::size_t page = 1000, bool want_attributes = true);
  // The names but "." and "..", sorted.
  Result<std::vector<std::string>> List(std::string_view path);
  bool Exists(std::string_view path) { return Stat(path).has_value(); }

 private:
  struct Place {
    ObjectId directory;
    std::string_view name;
  };
  Result<Place> Parent(std::string_view path);
  // Calls until it neither blocks nor parks; `call(context)`.
  template <typename F>
  auto Run(F&& call);
  template <typename F>
  auto Ask(F&& call);
  template <typename F>
  auto Change(F&& call);

  FileSystemHolder* holder_;
  Credentials who_;
  Mutation mutation_;
  std::function<bool(Fetch&)> park_;
  std::uint64_t blocked_ = 0, parked_ = 0;
};

// Waits until the answer to `mutation` may leave.
Result<void> Settle(FileSystem& fs, const Mutation& mutation);

SetAttributes Mode(std::uint32_t mode);
SetAttributes Owner(std::optional<std::uint32_t> uid, std::optional<std::uint32_t> gid);
SetAttributes Size(std::uint64_t size);

WccAttributes Wcc(const Attributes& attributes);

// `size` bytes that differ by `seed` and by position, so that a shifted or foreign byte shows.
std::string Pattern(std::size_t size, std::uint64_t seed);

// The code of a failed result; nothing for success.
template <typename T>
std::optional<Errc> CodeOf(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code();
}

std::string Describe(std::optional<Errc> code);
// What a file holds, or "failed".
std::string TextOrError(Client& client, std::string_view path);  // its code's name
inline std::string Text(Client& client, std::string_view path) { return client.ReadFile(path).value_or("failed"); }
::testing::AssertionResult FailsWith(std::optional<Errc> code, std::initializer_list<Errc> codes);
template <typename T>
::testing::AssertionResult Succeeds(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().ToString();
}

}  // namespace strata::vfs::testing

namespace strata {
// Test output by name. (Found by argument-dependent lookup.)
void PrintTo(Errc code, std::ostream* out);
}  // namespace strata

// Each evaluates its Result once.
#define EXPECT_OK(expression) EXPECT_TRUE(::strata::vfs::testing::Succeeds(expression))
#define ASSERT_OK(expression) ASSERT_TRUE(::strata::vfs::testing::Succeeds(expression))
// One of the codes given.
#define EXPECT_CODE(expression, ...) \
  EXPECT_TRUE(::strata::vfs::testing::FailsWith(::strata::vfs::testing::CodeOf(expression), {__VA_ARGS__}))
