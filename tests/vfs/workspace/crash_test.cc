// kill -9 at any moment: what was answered is there, at most one more change with it, and every handle is good (spec
// nfsv3 3.1, 6.2, 6.3).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "crash_ops.h"
#include "model.h"
#include "tree.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {
namespace {

template <typename F>
class HolderOf : public FileSystemHolder {
 public:
  explicit HolderOf(F& fs) : fs_(fs) {}
  FileSystem& fs() override { return fs_; }

 private:
  F& fs_;
};

Tree Base() {
  return {DirNode("d0"),
          DirNode("d1"),
          DirNode("d2"),
          FileNode("d0/a", Pattern(100'000, 9)),
          FileNode("d1/b", "small"),
          DirNode("d2/c"),
          FileNode("d2/c/inner", "x"),
          FileNode("d2/d", Pattern(3000, 8)),
          SymlinkNode("d1/e", "target")};
}

// A line for each object: all that must be the same in the model and the workspace.
void Describe(Client& client, const ObjectId& directory, const std::string& path, std::string& text) {
  auto entries = client.ListAll(directory, 50);
  ASSERT_OK(entries) << path;
  std::map<std::string, Listed> sorted;
  for (Listed& entry : *entries) sorted.emplace(entry.name, entry);
  for (const auto& [name, entry] : sorted) {
    if (name == "." || name == "..") continue;
    auto found = client.Lookup(directory, name);
    ASSERT_OK(found) << path << '/' << name;
    const Attributes& a = found->attributes;
    text += path + '/' + name + ' ' + std::to_string(static_cast<int>(a.type)) + ' ' + std::to_string(a.uid) + ' ' +
            std::to_string(a.gid) + ' ' + std::to_string(a.nlink);
    if (a.type == FileType::kDirectory) {
      text += '\n';
      Describe(client, found->id, path + '/' + name, text);
    } else if (a.type == FileType::kSymlink) {
      text += ' ' + client.ReadLink(found->id).value_or("failed") + '\n';
    } else {
      auto data = client.ReadAll(found->id);
      ASSERT_OK(data) << path << '/' << name;
      text += ' ' + std::to_string(a.mode) + ' ' + std::to_string(data->size()) + ' ' +
              std::to_string(std::hash<std::string>()(*data)) + '\n';
    }
  }
}

std::string ImageOf(FileSystemHolder& holder) {
  Client client(holder);
  std::string text;
  Describe(client, client.Root(), "", text);
  return text;
}

class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      std::vector<char*> argv = {const_cast<char*>(STRATA_CRASH_CHILD)};
      for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      ::execv(STRATA_CRASH_CHILD, argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
  }
  ~Child() {
    Kill();
    ::close(out_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next line; nothing at the end, or when none comes within 30 s.
  std::optional<std::string> Line() {
    while (true) {
      if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return line;
      }
      pollfd wait{out_, POLLIN, 0};
      if (::poll(&wait, 1, 30'000) <= 0) return std::nullopt;
      char bytes[4096];
      const ssize_t size = ::read(out_, bytes, sizeof bytes);
      if (size <= 0) return std::nullopt;
      buffer_.append(bytes, static_cast<std::size_t>(size));
    }
  }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
    pid_ = 0;
  }
  // Ended by itself, and badly.
  bool Failed() const { return WIFEXITED(status_) && WEXITSTATUS(status_) != 0; }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
  int status_ = 0;
  std::string buffer_;
};

// What a test does to the index while nobody serves the workspace.
enum class Harm { kNone, kDeleteIndex, kTruncateIndex, kGarbageInIndex };

void Do(Harm harm, const std::string& folder) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("index.db")) continue;
    ++found;
    if (harm == Harm::kDeleteIndex) std::filesystem::remove(entry.path());
    if (name != "index.db") continue;
    if (harm == Harm::kTruncateIndex) std::filesystem::resize_file(entry.path(), 5000);
    if (harm == Harm::kGarbageInIndex) {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.write("this is no database", 19);
    }
  }
  EXPECT_GT(found, 0) << "no index was there to be harmed";
}

void KillAndReopen(const std::string& durability, std::uint64_t checkpoint_records, int rounds, Harm harm,
                   std::uint64_t seed) {
  TempFolder temporary(TempFolder::Place::kDisk);
  const std::string folder = temporary.path() + "/workspace";
  BuildHostFolder(temporary.path() + "/layer", Base());
  const std::string layer = HostFolderImage(temporary.path() + "/layer");
  ASSERT_OK(InitWorkspace(Env::System(), folder, {LayerSpec{.path = temporary.path() + "/layer", .markers = {}}}));
  ModelFileSystem model;
  HolderOf<ModelFileSystem> model_holder(model);
  Client modeled(model_holder);
  BuildThrough(modeled, Base());

  std::mt19937_64 random(seed);
  std::map<std::uint64_t, ObjectId> told;  // by the model's number
  std::uint64_t next = 0;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + " of seed " + std::to_string(seed) + ", from step " +
                 std::to_string(next));
    Child child({folder, std::to_string(seed), std::to_string(next), durability, std::to_string(checkpoint_records)});
    auto answered = [&](const std::string& line) {
      unsigned long long step = 0, ino = 0, locator = 0;
      unsigned generation = 0;
      ASSERT_EQ(std::sscanf(line.c_str(), "%llu %llu %u %llu", &step, &ino, &generation, &locator), 4) << line;
      ASSERT_EQ(step, next);
      const CrashOutcome outcome = CrashOp(modeled, seed, next++);
      ASSERT_EQ(outcome.made.has_value(), ino != 0) << "the workspace and the model disagree";
      if (outcome.made) told[outcome.made->ino.value] = {InodeNumber{ino}, Generation{generation}, locator};
    };
    // It is killed at once after so many answers: somewhere in the next change.
    const std::uint64_t answers = random() % 150;
    for (std::uint64_t i = 0; i <= answers; ++i) {
      auto line = child.Line();
      ASSERT_TRUE(line.has_value()) << "the child stopped by itself";
      ASSERT_NO_FATAL_FAILURE(answered(*line));
    }
    child.Kill();
    ASSERT_FALSE(child.Failed());
    while (auto line = child.Line()) ASSERT_NO_FATAL_FAILURE(answered(*line));

    if (harm != Harm::kNone && round % 3 == 2) Do(harm, folder);
    WorkspaceOptions options;
    options.durability = Durability::kRelaxed;
    auto opened = Workspace::Open(Env::System(), folder, options);
    ASSERT_OK(opened);
    HolderOf<Workspace> holder(**opened);
    const std::string image = ImageOf(holder);
    if (image != ImageOf(model_holder)) {
      // The change in whose midst it was killed may have been made: wholly.
      CrashOp(modeled, seed, next++);
      ASSERT_EQ(image, ImageOf(model_holder)) << "neither with nor without the change that was not answered";
    }
    Client client(holder);
    for (auto at = told.begin(); at != told.end();) {
      const ObjectId there{InodeNumber{at->first}, Generation{0}, 0};
      if (modeled.Get(there)) {
        EXPECT_OK(client.Get(at->second)) << "a handle went bad";
        ++at;
      } else {
        EXPECT_CODE(client.Get(at->second), Errc::kStale);
        at = told.erase(at);
      }
    }
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(next, static_cast<std::uint64_t>(rounds) * 10) << "hardly anything was done";
  EXPECT_EQ(HostFolderImage(temporary.path() + "/layer"), layer);
}

TEST(Crash, NothingAnsweredIsLostWithStrictDurability) { KillAndReopen("strict", 100'000, 25, Harm::kNone, 1); }
TEST(Crash, NothingAnsweredIsLostToAKillWithRelaxedDurability) {
  KillAndReopen("relaxed", 100'000, 30, Harm::kNone, 2);
}
TEST(Crash, NothingAnsweredIsLostBetweenManyCheckpoints) { KillAndReopen("relaxed", 10, 30, Harm::kNone, 3); }
TEST(Crash, ADeletedIndexIsRebuiltFromTheJournal) { KillAndReopen("relaxed", 20, 12, Harm::kDeleteIndex, 4); }
TEST(Crash, ATruncatedIndexIsRebuiltFromTheJournal) { KillAndReopen("relaxed", 20, 12, Harm::kTruncateIndex, 5); }
TEST(Crash, AnIndexThatIsGarbageIsRebuiltFromTheJournal) { KillAndReopen("relaxed", 20, 12, Harm::kGarbageInIndex, 6); }

TEST(Crash, AnIndexThatIsLostAfterACleanEndIsRebuilt) {
  TempFolder temporary;
  const std::string folder = temporary.path() + "/workspace";
  ASSERT_OK(InitWorkspace(Env::System(), folder, {}));
  std::string before;
  std::optional<ObjectId> file;
  for (int round = 0; round < 3; ++round) {
    auto opened = Workspace::Open(Env::System(), folder, {});
    ASSERT_OK(opened);
    HolderOf<Workspace> holder(**opened);
    Client client(holder);
    if (round == 0) {
      BuildThrough(client, Base());
      ASSERT_OK(client.WriteAt("d0/a", 5, "changed"));
      ASSERT_OK(client.Unlink("d1/b"));
      file = client.IdOf("d0/a");
      before = ImageOf(holder);
    }
    EXPECT_EQ(ImageOf(holder), before);
    EXPECT_EQ(client.IdOf("d0/a"), *file);
    opened->reset();
    Do(Harm::kDeleteIndex, folder);
  }
}

TEST(Crash, ASecondProcessIsRefusedWhileTheFirstServes) {
  TempFolder temporary;
  const std::string folder = temporary.path() + "/workspace";
  ASSERT_OK(InitWorkspace(Env::System(), folder, {}));
  auto first = Workspace::Open(Env::System(), folder, {});
  ASSERT_OK(first);
  EXPECT_CODE(Workspace::Open(Env::System(), folder, {}), Errc::kBusy);
  first->reset();
  EXPECT_OK(Workspace::Open(Env::System(), folder, {}));
}

}  // namespace
}  // namespace strata::vfs::testing
