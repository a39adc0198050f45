// The real program, killed with SIGKILL in the middle of a stream of changes and started again: every change that was
// answered is there, those under way are there or not but never half, and every handle stays good (rules 3.1, 6.2, 6.3;
// the journal's promise that the death of the process loses nothing). STRATA_SEED=N repeats a run as far as the
// machine's timing allows.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "tests/e2e/process.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"

namespace strata::e2e {
namespace {

namespace fs = std::filesystem;

enum class Step { kNone, kCreate, kWrite, kCommit, kRename, kRemove };

// One file as it must be: after all that was answered, and what one step under way may have made of it.
struct Expected {
  Handle directory;
  std::string name;
  Handle handle;
  std::string content;
  bool of_the_folder = false;  // lies in the layer: only written to
  int steps = 0;
  Step step = Step::kNone;
  std::string next_name, next_content;
  std::optional<RawClient::Call> call;
};

class Kill : public ::testing::Test {
 protected:
  static constexpr int kLowerFiles = 4, kSlots = 32;

  void SetUp() override {
    fs::create_directories(lower_ + "/dir");
    for (int i = 0; i < kLowerFiles; ++i) {
      lower_content_.push_back(RandomBytes(static_cast<std::uint64_t>(i), 200'000));
      WriteHostFile(lower_ + "/dir/lower-" + std::to_string(i), lower_content_.back());
    }
    before_ = Fingerprint(lower_);
    const char* given = std::getenv("STRATA_SEED");
    const unsigned seed =
        given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    std::printf("STRATA_SEED=%u\n", seed);
    std::fflush(stdout);
    random_.seed(seed);
  }
  void TearDown() override {
    client_.reset();
    served_.reset();
    EXPECT_EQ(Fingerprint(lower_), before_) << "the folder beneath changed (rule 6.5)";
  }
  unsigned Below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

  void Start() {
    const std::vector<std::string> arguments = {lower_,         "--workspace", workspace_, "--insecure-ports",
                                                "--durability", durability_};
    served_ = std::make_unique<ServedProcess>(arguments, port_);
    ASSERT_NE(served_->port(), 0) << "it did not start: " << Errors();
    port_ = served_->port();
    client_ = std::make_unique<RawClient>(port_);
    ASSERT_TRUE(client_->connected());
    root_ = client_->root();
  }
  std::string Errors() {
    served_->process().Signal(SIGKILL);
    served_->process().Wait();
    return served_->process().errors();
  }
  void KillServer() {
    served_->process().Signal(SIGKILL);
    ASSERT_EQ(served_->process().Wait(), 128 + SIGKILL) << "it had ended by itself: " << served_->process().errors();
    client_.reset();  // what was answered but not taken in counts as not answered
  }

  // Before the first kill.
  void Prepare() {
    const Handle lower = client_->Walk("dir");
    RawClient::Call made = client_->MakeDirectory(root_, "upper");
    ASSERT_EQ(made->status, NFS3_OK);
    directories_ = {lower, *made->handle};
    for (int i = 0; i < kLowerFiles; ++i) {
      Expected file;
      file.directory = lower;
      file.name = "lower-" + std::to_string(i);
      file.handle = client_->Walk("dir/" + file.name);
      file.content = lower_content_[static_cast<std::size_t>(i)];
      file.of_the_folder = true;
      files_.push_back(std::move(file));
    }
  }

  // Sends the next step for a file.
  void SendNext(Expected& file) {
    ++file.steps;
    const unsigned choice = Below(100);
    if (file.handle.empty()) {
      file.step = Step::kCreate;
      file.call = client_->Create(file.directory, file.name, GUARDED, Mode(0644));
    } else if (file.of_the_folder || choice < 60) {
      const std::size_t size = 1 + Below(choice % 8 == 0 ? 60'000 : 3'000);
      const std::size_t offset = Below(static_cast<unsigned>(std::min<std::size_t>(file.content.size(), 200'000)) + 1);
      const std::string piece = RandomBytes(random_(), size);
      file.next_content = file.content;
      file.next_content.resize(std::max(file.content.size(), offset + size));
      file.next_content.replace(offset, size, piece);
      file.step = Step::kWrite;
      file.call = client_->Write(file.handle, offset, piece, Below(4) == 0 ? FILE_SYNC : UNSTABLE);
    } else if (choice < 75) {
      file.step = Step::kCommit;
      file.call = client_->Commit(file.handle);
    } else if (choice < 92) {
      file.step = Step::kRename;
      file.next_name = "renamed-" + std::to_string(++names_);
      file.call = client_->Rename(file.directory, file.name, file.directory, file.next_name);
    } else {
      file.step = Step::kRemove;
      file.call = client_->Remove(file.directory, file.name);
    }
  }

  // Takes in what was answered.
  void Apply(Expected& file) {
    const Answer& answer = file.call->Get();
    ASSERT_EQ(answer.status, NFS3_OK) << "step " << static_cast<int>(file.step) << " of " << file.name << ": "
                                      << answer.error;
    switch (file.step) {
      case Step::kCreate:
        file.handle = *answer.handle;
        break;
      case Step::kWrite:
        file.content = file.next_content;
        [[fallthrough]];
      case Step::kCommit:
        ASSERT_EQ(answer.verifier, verifier_) << "the verifier of one life (rule 6.3)";
        break;
      case Step::kRename:
        file.name = file.next_name;
        break;
      case Step::kRemove:
        removed_.push_back(file.handle);
        file.handle.clear();
        file.name.clear();
        break;
      case Step::kNone:
        break;
    }
    file.step = Step::kNone;
    file.call.reset();
  }

  // Keeps kSlots changes in flight until `answers` were answered.
  void Stream(int answers) {
    verifier_ = client_->Commit(files_[0].handle)->verifier;
    ASSERT_EQ(verifier_.size(), 8U);
    for (const std::string& earlier : verifiers_)
      ASSERT_NE(verifier_, earlier) << "a new life has a new verifier (rule 6.3)";
    verifiers_.push_back(verifier_);
    std::vector<std::size_t> slots;
    for (int i = 0; i < kLowerFiles; ++i) slots.push_back(static_cast<std::size_t>(i));
    while (slots.size() < kSlots) slots.push_back(NewFile());
    for (int answered = 0; answered < answers;) {
      for (std::size_t& slot : slots) {
        if (!files_[slot].call) {
          if (!files_[slot].of_the_folder && (files_[slot].name.empty() || files_[slot].steps > 8)) slot = NewFile();
          SendNext(files_[slot]);
        } else if (files_[slot].call->done()) {
          ASSERT_NO_FATAL_FAILURE(Apply(files_[slot]));
          ++answered;
        }
      }
      ASSERT_TRUE(client_->Turn(1000)) << "the connection ended: " << Errors();
    }
    // Some moment in the middle of what is in flight.
    for (unsigned turns = Below(4); turns > 0; --turns) client_->Turn(1);
  }
  std::size_t NewFile() {
    Expected file;
    file.directory = directories_[Below(2)];
    file.name = "made-" + std::to_string(++names_);
    files_.push_back(std::move(file));
    return files_.size() - 1;
  }

  // Compares one file with what it must be, and settles what was under way.
  void Settle(Expected& file) {
    SCOPED_TRACE(file.name + " with step " + std::to_string(static_cast<int>(file.step)) + " under way");
    file.call.reset();
    const Step step = std::exchange(file.step, Step::kNone);
    if (file.name.empty()) return;
    RawClient::Call found = client_->Lookup(file.directory, file.name);
    if (step == Step::kCreate || file.handle.empty()) {
      if (found->status != NFS3_OK) {
        EXPECT_EQ(found->status, NFS3ERR_NOENT);
        file.name.clear();
        return;
      }
      EXPECT_EQ(step, Step::kCreate) << "a file that nobody asked for";
      file.handle = *found->handle;
    } else if (step == Step::kRename) {
      RawClient::Call other = client_->Lookup(file.directory, file.next_name);
      ASSERT_NE(found->status == NFS3_OK, other->status == NFS3_OK) << "it must be under exactly one of its names";
      if (other->status == NFS3_OK) {
        file.name = file.next_name;
        found = other;
      }
    } else if (step == Step::kRemove && found->status == NFS3ERR_NOENT) {
      EXPECT_EQ(client_->GetAttr(file.handle)->status, NFS3ERR_STALE);
      file.name.clear();
      file.handle.clear();
      return;
    }
    ASSERT_EQ(found->status, NFS3_OK) << "an answered change was lost";
    ASSERT_EQ(*found->handle, file.handle) << "its handle changed (rule 3.1)";
    RawClient::Call read = client_->Read(file.handle, 0, 1 << 20);
    ASSERT_EQ(read->status, NFS3_OK) << read->error;
    ASSERT_TRUE(read->eof);
    if (step == Step::kWrite && read->data == file.next_content) file.content = file.next_content;
    ASSERT_EQ(read->data.size(), file.content.size()) << "an answered write was lost";
    ASSERT_TRUE(read->data == file.content) << "an answered write was lost, or one is there by half";
  }
  void SettleAll() {
    for (Expected& file : files_) ASSERT_NO_FATAL_FAILURE(Settle(file));
    for (const Handle& handle : removed_)
      ASSERT_EQ(client_->GetAttr(handle)->status, NFS3ERR_STALE) << "an answered REMOVE was lost";
    std::size_t present = directories_.size() * 2;  // . and ..
    for (const Expected& file : files_) present += !file.name.empty();
    std::size_t listed = 0;
    for (const Handle& directory : directories_) listed += client_->List(directory, true, 1 << 20).size();
    EXPECT_EQ(listed, present) << "nothing is listed that nobody made";
    std::erase_if(files_, [](const Expected& file) { return file.name.empty(); });
  }
  void DeleteIndex() {
    int deleted = 0;
    for (const auto& entry : fs::directory_iterator(workspace_)) {
      if (entry.path().filename().string().starts_with("index.db")) deleted += fs::remove(entry.path());
    }
    ASSERT_GT(deleted, 0);
  }

  TempFolder folder_;
  const std::string lower_ = folder_ / "lower", workspace_ = folder_ / "workspace";
  std::vector<std::string> lower_content_, verifiers_;
  std::string before_, verifier_, durability_ = "strict";
  std::mt19937_64 random_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ServedProcess> served_;
  std::unique_ptr<RawClient> client_;
  Handle root_;
  std::vector<Handle> directories_, removed_;
  std::vector<Expected> files_;
  int names_ = 0;
};

class KillWithDurability : public Kill, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Durability, KillWithDurability, ::testing::Values("strict", "relaxed"),
                         [](const auto& info) { return info.param; });

TEST_P(KillWithDurability, EveryAnsweredChangeIsThereAfterSigkillInTheMiddleOfAStream) {
  durability_ = GetParam();
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(Prepare());
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(Stream(static_cast<int>(20 + Below(600))));
    ASSERT_NO_FATAL_FAILURE(KillServer());
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(SettleAll());
  }
  served_->process().Signal(SIGTERM);
  EXPECT_EQ(served_->process().Wait(), 0);
  ASSERT_NO_FATAL_FAILURE(Start());
  SettleAll();
}

TEST_F(Kill, TheIndexIsRebuiltFromTheJournalWhenItIsGoneBetweenLives) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(Prepare());
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(Stream(static_cast<int>(20 + Below(400))));
    if (round % 2 == 0) {
      ASSERT_NO_FATAL_FAILURE(KillServer());
    } else {  // a clean end, with its checkpoint
      while (
          std::any_of(files_.begin(), files_.end(), [](Expected& file) { return file.call && !file.call->done(); })) {
        ASSERT_TRUE(client_->Turn(1000));
      }
      for (Expected& file : files_) {
        if (file.call) {
          ASSERT_NO_FATAL_FAILURE(Apply(file));
        }
      }
      served_->process().Signal(SIGTERM);
      ASSERT_EQ(served_->process().Wait(), 0) << served_->process().errors();
    }
    ASSERT_NO_FATAL_FAILURE(DeleteIndex());
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(SettleAll());
  }
}

TEST_F(Kill, ItMayBeKilledWhileItEnds) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(Prepare());
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(Stream(static_cast<int>(100 + Below(300))));
    served_->process().Signal(SIGTERM);
    const timespec moment{
        0,
        static_cast<long>(Below(20'000'000))};  // not to wait for anything: any moment of its last checkpoint will do
    ::nanosleep(&moment, nullptr);
    served_->process().Signal(SIGKILL);
    const int status = served_->process().Wait();
    ASSERT_TRUE(status == 0 || status == 128 + SIGKILL) << status << served_->process().errors();
    client_.reset();
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(SettleAll());
  }
}

TEST_F(Kill, ItMayBeKilledAgainWhileItStarts) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(Prepare());
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(Stream(static_cast<int>(100 + Below(300))));
    ASSERT_NO_FATAL_FAILURE(KillServer());
    for (int again = 0; again < 5; ++again) {
      Process starting({STRATA_PROGRAM, "serve", lower_, "--workspace", workspace_, "--insecure-ports", "--listen",
                        "127.0.0.1:" + std::to_string(port_), "--portmap", "off"});
      const timespec moment{0, static_cast<long>(Below(60'000'000))};  // not to wait for anything: any moment will do
      ::nanosleep(&moment, nullptr);
      starting.Signal(SIGKILL);
      ASSERT_EQ(starting.Wait(), 128 + SIGKILL) << starting.errors();
    }
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(SettleAll());
  }
}

}  // namespace
}  // namespace strata::e2e
