// Many threads in the same few directories; afterwards everything must still fit together.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

constexpr int kThreads = 6;
constexpr int kSteps = 4000;

// Counts what is wrong with the tree: links that do not add up, entries that cannot be looked up.
class Audit {
 public:
  explicit Audit(Client& client) : client_(client) { Visit(client.Root(), client.Root()); }
  void Finish() {
    for (const auto& [ino, seen] : files_) {
      auto attributes = client_.Get(seen.first);
      ASSERT_OK(attributes) << ino;
      EXPECT_EQ(attributes->nlink, seen.second) << "names of " << ino;
    }
  }
  std::size_t entries() const { return entries_; }

 private:
  void Visit(const ObjectId& id, const ObjectId& parent) {
    auto entries = client_.ListAll(id, 100);
    ASSERT_OK(entries);
    auto up = client_.Lookup(id, "..");
    ASSERT_OK(up);
    EXPECT_EQ(up->id, parent);
    std::uint32_t directories = 0;
    for (const Listed& entry : *entries) {
      if (entry.name == "." || entry.name == "..") continue;
      ++entries_;
      auto found = client_.Lookup(id, entry.name);
      ASSERT_OK(found) << entry.name << " is listed, but not found";
      EXPECT_EQ(found->id, entry.id) << entry.name;
      if (found->attributes.type == FileType::kDirectory) {
        ++directories;
        EXPECT_TRUE(seen_.insert(found->id.ino.value).second) << "a directory in two places";
        Visit(found->id, id);
      } else {
        auto& file = files_.try_emplace(found->id.ino.value, found->id, 0).first->second;
        ++file.second;
      }
    }
    // 1: a directory of several layers does not count (spec nfsv3 4.4).
    const std::uint32_t links = client_.Get(id)->nlink;
    EXPECT_TRUE(links == 1 || links == 2 + directories) << links << " links, " << directories << " directories";
  }

  Client& client_;
  std::map<std::uint64_t, std::pair<ObjectId, std::uint32_t>> files_;
  std::set<std::uint64_t> seen_;
  std::size_t entries_ = 0;
};

void Hammer(FileSystemHolder& holder, int thread, const std::vector<ObjectId>& directories,
            std::atomic<int>& unexpected, std::atomic<int>& succeeded) {
  Client client(holder);
  std::mt19937_64 random(static_cast<std::uint64_t>(thread) + 100);
  auto below = [&](std::uint64_t limit) { return random() % limit; };
  auto directory = [&] { return directories[below(directories.size())]; };
  auto name = [&] { return std::string(1, static_cast<char>('a' + below(10))); };
  // What a race may rightly end in; anything else, EIO above all, is a fault.
  auto check = [&](std::optional<Errc> code, const char* what) {
    if (!code) {
      ++succeeded;
      return;
    }
    switch (*code) {
      case Errc::kNotFound:
      case Errc::kExists:
      case Errc::kStale:
      case Errc::kIsDirectory:
      case Errc::kNotDirectory:
      case Errc::kNotEmpty:
      case Errc::kInvalid:
        return;
      default:
        if (++unexpected < 10) ADD_FAILURE() << what << " gave " << Describe(code);
    }
  };
  for (int step = 0; step < kSteps; ++step) {
    switch (below(10)) {
      case 0:
      case 1: {
        auto made = client.Create(directory(), name(), CreateMode::kGuarded);
        check(CodeOf(made), "create");
        if (made)
          check(CodeOf(client.Write(made->id, below(10'000), Pattern(500, static_cast<std::uint64_t>(step)))), "write");
        break;
      }
      case 2:
        check(CodeOf(client.MakeDirectory(directory(), name())), "mkdir");
        break;
      case 3:
        check(CodeOf(client.Remove(directory(), name())), "remove");
        break;
      case 4:
        check(CodeOf(client.RemoveDirectory(directory(), name())), "rmdir");
        break;
      case 5:
      case 6:
        check(CodeOf(client.Rename(directory(), name(), directory(), name())), "rename");
        break;
      case 7: {
        auto found = client.Lookup(directory(), name());
        check(CodeOf(found), "lookup");
        if (found) check(CodeOf(client.Link(found->id, directory(), name())), "link");
        break;
      }
      case 8: {
        const ObjectId at = directory();
        Cookie cookie;
        while (true) {
          auto page = client.ListPage(at, cookie, 4);
          check(CodeOf(page), "list");
          if (!page || page->eof || page->entries.empty()) break;
          cookie = page->entries.back().cookie;
        }
        break;
      }
      default: {
        auto found = client.Lookup(directory(), name());
        if (found && found->attributes.type == FileType::kRegular)
          check(CodeOf(client.Read(found->id, 0, 20'000)), "read");
      }
    }
  }
}

void RunTogether(std::vector<Tree> layers, const WorkspaceOptions& options) {
  WorkspaceSubject subject(std::move(layers), options);
  Client client(subject);
  std::vector<ObjectId> directories = {client.Root()};
  for (const char* path : {"d0", "d1", "d1/e"}) {
    if (!client.Exists(path)) {
      ASSERT_OK(client.Mkdir(path));
    }
    directories.push_back(client.IdOf(path));
  }
  std::atomic<int> unexpected = 0;
  std::atomic<int> succeeded = 0;
  std::atomic<bool> done = false;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] { Hammer(subject, i, directories, unexpected, succeeded); });
    // And checkpoints all the while.
    std::jthread checkpoints([&] {
      while (!done) EXPECT_OK(subject.workspace().Checkpoint());
    });
    for (std::jthread& thread : threads) thread.join();
    done = true;
  }
  EXPECT_EQ(unexpected, 0);
  EXPECT_GT(succeeded, kThreads * kSteps / 5) << "hardly anything was done";
  for (int i = 0; i < 2; ++i) {
    Audit audit(client);
    audit.Finish();
    EXPECT_GT(audit.entries(), 3u);
    subject.Restart();
  }
}

Tree Given() {
  Tree tree = {DirNode("d0"), DirNode("d1"), DirNode("d1/e")};
  for (char c = 'a'; c < 'k'; ++c) {
    tree.push_back(FileNode(std::string("d0/") + c, "lower"));
    if (c % 2 == 0) tree.push_back(DirNode(std::string("d1/") + c));
  }
  tree.push_back(LinkNode("d1/a", "d0/a"));
  return tree;
}

TEST(Concurrency, AnUpperAloneStaysConsistent) { RunTogether({}, TestOptions()); }
TEST(Concurrency, AWorkspaceOverLayersStaysConsistent) {
  RunTogether({{DirNode("d0"), WhiteoutNode("d0/b")}, Given()}, TestOptions());
}
// Directories are in memory in part, and what is in memory comes and goes all the time.
WorkspaceOptions SmallOptions(std::size_t memory) {
  WorkspaceOptions options = TestOptions();
  options.memory_bytes = memory;
  options.whole_directory_names = options.whole_file_extents = 2;
  return options;
}

TEST(Concurrency, ASmallCacheStaysConsistent) { RunTogether({Given()}, SmallOptions(64 << 10)); }
TEST(Concurrency, ASmallCacheOverLayersStaysConsistent) {
  RunTogether({{DirNode("d0"), WhiteoutNode("d0/b")}, Given()}, SmallOptions(96 << 10));
}
TEST(Concurrency, ASmallCacheOfAnUpperAloneStaysConsistent) { RunTogether({}, SmallOptions(64 << 10)); }
TEST(Concurrency, ATinyCacheStaysConsistent) { RunTogether({Given()}, SmallOptions(4 << 10)); }

TEST(Concurrency, WritersOfOneFileLeaveEachPieceWhole) {
  WorkspaceSubject subject({{FileNode("f", std::string(100'000, '.'))}}, TestOptions());
  Client client(subject);
  const ObjectId f = client.IdOf("f");
  constexpr std::size_t kPiece = 1000;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        Client writer(subject);
        std::mt19937_64 random(static_cast<std::uint64_t>(i));
        for (int step = 0; step < 500; ++step) {
          EXPECT_OK(writer.Write(f, random() % 100 * kPiece, std::string(kPiece, static_cast<char>('a' + i))));
          auto answer = writer.Read(f, random() % 100 * kPiece, kPiece);
          ASSERT_OK(answer);
          ASSERT_EQ(answer->data, std::string(kPiece, answer->data[0])) << "a torn write was read";
        }
      });
    }
  }
  subject.Restart();
  const std::string data = client.ReadAll(f).value_or("");
  ASSERT_EQ(data.size(), 100'000u);
  for (std::size_t at = 0; at < data.size(); at += kPiece) {
    EXPECT_EQ(data.substr(at, kPiece), std::string(kPiece, data[at])) << at;
  }
}

}  // namespace
}  // namespace strata::vfs::testing
