#include "harness.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>

namespace strata {
void PrintTo(Errc code, std::ostream* out) { *out << ErrcName(code); }
}  // namespace strata

namespace strata::vfs::testing {

TempFolder::TempFolder(Place place) {
  std::string base;
  if (place == Place::kMemory && ::access("/dev/shm", W_OK) == 0) {
    base = "/dev/shm";
  } else {
    const char* set = std::getenv("TMPDIR");
    base = set != nullptr && *set != '\0' ? set : "/tmp";
  }
  std::string pattern = base + "/strata-test-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    ADD_FAILURE() << "no temporary folder " << pattern;
    return;
  }
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Credentials User(std::uint32_t uid, std::uint32_t gid, std::initializer_list<std::uint32_t> groups) {
  Credentials user;
  user.uid = uid;
  user.gid = gid;
  for (std::uint32_t group : groups) user.groups[user.group_count++] = group;
  return user;
}

bool EntrySink::Add(const DirectoryEntry& entry) {
  if (entries.size() >= limit_) return false;
  Listed listed{std::string(entry.name), entry.id, entry.cookie, std::nullopt};
  if (entry.attributes != nullptr) listed.attributes = *entry.attributes;
  entries.push_back(std::move(listed));
  return true;
}

std::string TextOrError(Client& client, std::string_view path) {
  const auto text = client.ReadFile(path);
  return text ? *text : std::string(ErrcName(text.error().code()));
}

Result<void> Settle(FileSystem& fs, const Mutation& mutation) {
  if (mutation.commitment == Commitment::kWritten) return fs.Flush();
  if (mutation.commitment != Commitment::kDurable) return {};
  // Shared with the callback: it may come after we gave up.
  auto promise = std::make_shared<std::promise<Result<void>>>();
  std::future<Result<void>> future = promise->get_future();
  fs.Sync(mutation.lsn, [promise](Result<void> result) { promise->set_value(std::move(result)); });
  if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
    return Fail(Errc::kJukebox, "the sync of a change did not end within 30 s");
  }
  return future.get();
}

template <typename F>
auto Client::Run(F&& call) {
  std::shared_ptr<Fetch> fetch;
  OpContext context{who_, false};
  if (park_) context.fetch = &fetch;
  for (;;) {
    auto result = call(context);
    if (result || result.error().code() != Errc::kWouldBlock) return result;
    if (fetch != nullptr && !fetch->done()) {
      ++parked_;
      if (!park_(*fetch)) return result;
    } else {
      // Who may wait waits, unless for something from elsewhere.
      if (context.may_block) return result;
      ++blocked_;
    }
    context.may_block = true;
  }
}

template <typename F>
auto Client::Ask(F&& call) {
  FileSystem& fs = holder_->fs();
  return Run([&](const OpContext& context) { return call(fs, context); });
}

template <typename F>
auto Client::Change(F&& call) {
  FileSystem& fs = holder_->fs();
  auto result = Run([&](const OpContext& context) {
    mutation_ = {};
    auto changed = call(fs, context, mutation_);
    if (!changed && changed.error().code() == Errc::kWouldBlock) {
      EXPECT_EQ(mutation_.commitment, Commitment::kNone) << "a call that has to come again has changed nothing";
    }
    return changed;
  });
  if (auto settled = Settle(fs, mutation_); !settled && result) {
    return decltype(result)(std::unexpected(settled.error()));
  }
  return result;
}

Result<Attributes> Client::Get(const ObjectId& id) {
  return Ask([&](FileSystem& fs, const OpContext& context) { return fs.GetAttributes(context, id); });
}

Result<Entry> Client::Lookup(const ObjectId& directory, std::string_view name, std::optional<Attributes>* after) {
  return Ask([&](FileSystem& fs, const OpContext& context) { return fs.Lookup(context, directory, name, after); });
}

Result<std::uint32_t> Client::Access(const ObjectId& id, std::uint32_t wanted) {
  return Ask([&](FileSystem& fs, const OpContext& context) { return fs.Access(context, id, wanted, nullptr); });
}

Result<std::string> Client::ReadLink(const ObjectId& id) {
  return Ask([&](FileSystem& fs, const OpContext& context) { return fs.ReadLink(context, id, nullptr); });
}

Result<std::vector<std::string>> Client::ListXattr(const ObjectId& id) {
  return Ask([&](FileSystem& fs, const OpContext& context) { return fs.ListXattr(context, id); });
}

Result<std::string> Client::GetXattr(const ObjectId& id, std::string_view name) {
  return Ask([&](FileSystem& fs, const OpContext& context) { return fs.GetXattr(context, id, name); });
}

Result<ReadAnswer> Client::Read(const ObjectId& id, std::uint64_t offset, std::uint32_t count) {
  return Ask([&](FileSystem& fs, const OpContext& context) -> Result<ReadAnswer> {
    StringSink sink;
    STRATA_ASSIGN(ReadResult result, fs.Read(context, id, offset, count, sink));
    EXPECT_EQ(result.count, sink.data.size()) << "READ says another count than it gave";
    EXPECT_LE(sink.data.size(), count);
    return ReadAnswer{std::move(sink.data), result.eof, result.after};
  });
}

Result<Page> Client::ListPage(const ObjectId& directory, Cookie cookie, std::size_t limit, bool want_attributes) {
  return Ask([&](FileSystem& fs, const OpContext& context) -> Result<Page> {
    EntrySink sink(limit);
    STRATA_ASSIGN(Listing listing, fs.ReadDirectory(context, directory, cookie, want_attributes, sink));
    EXPECT_EQ(listing.count, sink.entries.size()) << "a listing says another count than it gave";
    return Page{std::move(sink.entries), listing.eof};
  });
}

Result<void> Client::Set(const ObjectId& id, const SetAttributes& set, std::optional<Time> guard) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.SetAttributesOf(context, id, set, guard, mutation);
  });
}

Result<std::uint32_t> Client::Write(const ObjectId& id, std::uint64_t offset, std::string_view data,
                                    Stability stability) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.Write(context, id, offset, AsBytes(data), stability, mutation);
  });
}

Result<Entry> Client::Create(const ObjectId& directory, std::string_view name, CreateMode mode,
                             const SetAttributes& set, const CreateVerifier& verifier) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.Create(context, directory, name, mode, set, verifier, mutation);
  });
}

Result<Entry> Client::MakeDirectory(const ObjectId& directory, std::string_view name, const SetAttributes& set) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.MakeDirectory(context, directory, name, set, mutation);
  });
}

Result<Entry> Client::MakeSymlink(const ObjectId& directory, std::string_view name, std::string_view target,
                                  const SetAttributes& set) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.MakeSymlink(context, directory, name, target, set, mutation);
  });
}

Result<Entry> Client::MakeNode(const ObjectId& directory, std::string_view name, FileType type, DeviceNumber device,
                               const SetAttributes& set) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.MakeNode(context, directory, name, type, device, set, mutation);
  });
}

Result<void> Client::Remove(const ObjectId& directory, std::string_view name) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.Remove(context, directory, name, mutation);
  });
}

Result<void> Client::RemoveDirectory(const ObjectId& directory, std::string_view name) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.RemoveDirectory(context, directory, name, mutation);
  });
}

Result<void> Client::Rename(const ObjectId& from_directory, std::string_view from, const ObjectId& to_directory,
                            std::string_view to) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.Rename(context, from_directory, from, to_directory, to, mutation);
  });
}

Result<void> Client::Link(const ObjectId& id, const ObjectId& directory, std::string_view name) {
  return Change([&](FileSystem& fs, const OpContext& context, Mutation& mutation) {
    return fs.Link(context, id, directory, name, nullptr, mutation);
  });
}

Result<void> Client::Commit(const ObjectId& id) {
  return Change(
      [&](FileSystem& fs, const OpContext& context, Mutation& mutation) { return fs.Commit(context, id, mutation); });
}

SetAttributes Mode(std::uint32_t mode) {
  SetAttributes set;
  set.mode = mode;
  return set;
}
SetAttributes Owner(std::optional<std::uint32_t> uid, std::optional<std::uint32_t> gid) {
  SetAttributes set;
  set.uid = uid;
  set.gid = gid;
  return set;
}
SetAttributes Size(std::uint64_t size) {
  SetAttributes set;
  set.size = size;
  return set;
}

WccAttributes Wcc(const Attributes& attributes) { return {attributes.size, attributes.mtime, attributes.ctime}; }

std::string Pattern(std::size_t size, std::uint64_t seed) {
  std::string data(size, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (char& byte : data) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state >> 32);
  }
  return data;
}

std::string Describe(std::optional<Errc> code) { return code ? std::string(ErrcName(*code)) : "success"; }

::testing::AssertionResult FailsWith(std::optional<Errc> code, std::initializer_list<Errc> codes) {
  if (code && std::find(codes.begin(), codes.end(), *code) != codes.end()) return ::testing::AssertionSuccess();
  auto failure = ::testing::AssertionFailure() << "it gave " << Describe(code) << ", not";
  for (Errc one : codes) failure << ' ' << ErrcName(one);
  return failure;
}

}  // namespace strata::vfs::testing
