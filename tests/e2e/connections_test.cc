// Several connections at once, and many calls on one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <set>
#include <thread>

#include "tests/e2e/service.h"
#include "tests/e2e/sync_client.h"

namespace strata::e2e {
namespace {

class Connections : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteHostFile(service_.lower() + "/shared", std::string(64 << 10, '.'));
    ASSERT_TRUE(service_.Start());
  }
  Service service_;
};

TEST_F(Connections, OneSeesAtOnceWhatTheOtherChanged) {
  SyncClient a(service_.port()), b(service_.port());
  ASSERT_TRUE(a.mounted() && b.mounted());
  std::string content;
  ASSERT_EQ(a.WriteFile("/file", "first"), 0);
  ASSERT_EQ(b.ReadFile("/file", &content), 0);
  EXPECT_EQ(content, "first");
  ASSERT_EQ(b.WriteFile("/file", "second, longer"), 0);
  ASSERT_EQ(a.ReadFile("/file", &content), 0);
  EXPECT_EQ(content, "second, longer");
  ASSERT_EQ(nfs_rename(a, "/file", "/moved"), 0);
  ASSERT_EQ(b.ReadFile("/moved", &content), 0);
  ASSERT_EQ(nfs_unlink(b, "/moved"), 0);
  EXPECT_EQ(a.ReadFile("/moved", &content), -ENOENT);
}

TEST_F(Connections, TwoWorkOnFilesOfTheirOwnAndOnTheSameOneWithoutDisturbingEachOther) {
  constexpr int kClients = 2, kRounds = 60;
  constexpr std::size_t kPiece = 512;
  std::barrier<> together(kClients);
  std::atomic<int> failures = 0;
  auto work = [&](int me) {
    SyncClient client(service_.port());
    nfsfh* shared = nullptr;
    const bool ready = client.mounted() && nfs_open(client, "/shared", 2 /* O_RDWR */, &shared) == 0;
    failures += !ready;
    together.arrive_and_wait();
    if (!ready) return;
    const std::string own = "/own-" + std::to_string(me);
    failures += nfs_mkdir(client, own.c_str()) != 0;
    for (int round = 0; round < kRounds; ++round) {
      // Each writes every second piece of the shared file: neighbours of the other's.
      const std::uint64_t at = static_cast<std::uint64_t>(2 * round + me) * kPiece;
      const std::string piece(kPiece, static_cast<char>('A' + me));
      failures += nfs_pwrite(client, shared, at, kPiece, piece.data()) != static_cast<int>(kPiece);
      const std::string path = own + "/" + std::to_string(round), content = own + std::to_string(round);
      std::string read;
      failures += client.WriteFile(path, content) != 0;
      failures += client.ReadFile(path, &read) != 0 || read != content;
      if (round % 3 == 0)
        failures += nfs_rename(client, path.c_str(), (own + "/kept-" + std::to_string(round)).c_str()) != 0;
      if (round % 3 == 1) failures += nfs_unlink(client, path.c_str()) != 0;
      // Both make and remove the same names: exactly one of two makers wins, nothing worse happens.
      const int made = nfs_mkdir(client, "/contested");
      failures += made != 0 && made != -EEXIST;
      const int removed = nfs_rmdir(client, "/contested");
      failures += removed != 0 && removed != -ENOENT;
    }
    failures += nfs_close(client, shared) != 0;
  };
  std::array<std::thread, kClients> threads;
  for (int me = 0; me < kClients; ++me) threads[static_cast<std::size_t>(me)] = std::thread(work, me);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);

  SyncClient client(service_.port());
  std::string shared;
  ASSERT_EQ(client.ReadFile("/shared", &shared), 0);
  for (std::size_t i = 0; i < 2 * kRounds; ++i) {
    ASSERT_EQ(shared.substr(i * kPiece, kPiece), std::string(kPiece, i % 2 == 0 ? 'A' : 'B')) << "piece " << i;
  }
  EXPECT_EQ(shared.substr(2 * kRounds * kPiece), std::string((64 << 10) - 2 * kRounds * kPiece, '.'));
  for (const char* own : {"/own-0", "/own-1"}) EXPECT_EQ(client.Names(own).size(), kRounds / 3 * 2U);
}

TEST_F(Connections, GuardedCreatesOfOneNameFromTwoConnectionsHaveOneWinnerEach_Rule5_5) {
  RawClient a(service_.port()), b(service_.port());
  for (int i = 0; i < 50; ++i) {
    const std::string name = "race-" + std::to_string(i);
    RawClient::Call first = a.Create(a.root(), name), second = b.Create(b.root(), name);
    a.Turn(0);
    b.Turn(0);
    const nfsstat3 one = first->status, other = second->status;
    EXPECT_TRUE((one == NFS3_OK && other == NFS3ERR_EXIST) || (one == NFS3ERR_EXIST && other == NFS3_OK))
        << name << ": " << one << ", " << other;
  }
}

TEST_F(Connections, SixtyFourCallsInFlightOnOneConnectionAreEachAnsweredRight_Rule1_4) {
  RawClient client(service_.port());
  ASSERT_TRUE(client.connected());
  constexpr int kCalls = 64;
  std::vector<RawClient::Call> created;
  for (int i = 0; i < kCalls; ++i) created.push_back(client.Create(client.root(), "f" + std::to_string(i)));
  std::set<std::uint64_t> numbers;
  std::vector<Handle> handles;
  for (RawClient::Call& call : created) {
    ASSERT_EQ(call->status, NFS3_OK) << call->error;
    numbers.insert(call->object->fileid);
    handles.push_back(*call->handle);
  }
  EXPECT_EQ(numbers.size(), static_cast<std::size_t>(kCalls)) << "each has its own fileid (rule 3.3)";
  std::vector<RawClient::Call> written;
  for (int i = 0; i < kCalls; ++i) {
    written.push_back(
        client.Write(handles[static_cast<std::size_t>(i)], 0, "content of " + std::to_string(i), UNSTABLE));
  }
  for (RawClient::Call& call : written) ASSERT_EQ(call->status, NFS3_OK) << call->error;
  std::vector<RawClient::Call> mixed;
  for (int i = 0; i < kCalls; ++i) {
    const Handle& handle = handles[static_cast<std::size_t>(i)];
    mixed.push_back(i % 4 == 0   ? client.Commit(handle)
                    : i % 4 == 1 ? client.GetAttr(handle)
                                 : client.Read(handle, 0, 100));
  }
  for (int i = 0; i < kCalls; ++i) {
    RawClient::Call& call = mixed[static_cast<std::size_t>(i)];
    ASSERT_EQ(call->status, NFS3_OK) << i << ": " << call->error;
    if (i % 4 > 1) {
      EXPECT_EQ(call->data, "content of " + std::to_string(i));
    }
  }
}

TEST_F(Connections, AClientThatLeavesInTheMiddleDisturbsNobody_Rule1_7) {
  RawClient stays(service_.port());
  for (int i = 0; i < 20; ++i) {
    RawClient leaves(service_.port());
    for (int j = 0; j < 16; ++j) leaves.Create(leaves.root(), "left-" + std::to_string(i) + "-" + std::to_string(j));
    leaves.Turn(0);
  }
  EXPECT_EQ(stays.GetAttr(stays.root())->status, NFS3_OK);
  for (const Listed& entry : stays.List(stays.root(), true, 8192)) {
    if (entry.name.starts_with("left-")) {
      EXPECT_TRUE(entry.attributes.has_value()) << entry.name;
    }
  }
}

}  // namespace
}  // namespace strata::e2e
