// A call that was done, and whose answer was lost with the server's process, comes again to the next one: it gets its
// first answer, and is not done a second time (spec nfsv3 1.6).
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "tests/e2e/process.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"
#include "tests/e2e/wire.h"

namespace strata::e2e {
namespace {

constexpr std::uint32_t kSetAttr = 2, kCreate = 8, kMkdir = 9, kSymlink = 10, kMknod = 11, kRemove = 12, kRmdir = 13,
                        kRename = 14, kLink = 15;
constexpr std::uint32_t kFifo = 7;

struct Sent {
  const char* what;
  std::uint32_t procedure;
  std::string arguments;
  std::string handle;  // of what it made
};

class Retransmission : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(service_.lower() + "/old");
    WriteHostFile(service_.lower() + "/gone", "x");
    WriteHostFile(service_.lower() + "/from", "of the layer");
    std::filesystem::create_directories(service_.lower() + "/emptied");
    ASSERT_TRUE(service_.Start());
    RawClient client(service_.port());
    root_ = client.root();
    const std::string none = Xdr().Word(0).Word(0).Word(0).Word(0).Word(0).Word(0).bytes();  // sattr3 that sets nothing
    const std::string mode = Xdr().Word(1).Word(0640).Word(0).Word(0).Word(0).Word(0).Word(0).bytes();
    const std::string file = client.Walk("from");
    const auto in_root = [&](const char* name) { return Xdr().Opaque(root_).Opaque(name).bytes(); };
    sent_ = {
        {"CREATE", kCreate, in_root("file") + Xdr().Word(1).bytes() + none, {}},
        {"MKDIR", kMkdir, in_root("directory") + none, {}},
        {"SYMLINK", kSymlink, in_root("symlink") + none + Xdr().Opaque("target").bytes(), {}},
        {"MKNOD", kMknod, in_root("fifo") + Xdr().Word(kFifo).bytes() + none, {}},
        {"REMOVE", kRemove, in_root("gone"), {}},
        {"RMDIR", kRmdir, in_root("emptied"), {}},
        {"LINK", kLink, Xdr().Opaque(file).bytes() + in_root("linked"), {}},
        {"RENAME", kRename, in_root("from") + in_root("to"), {}},
        {"SETATTR", kSetAttr, Xdr().Opaque(file).bytes() + mode + Xdr().Word(0).bytes(), {}},
    };
  }
  static std::uint32_t XidOf(std::size_t i) { return 0x5000'0000U + static_cast<std::uint32_t>(i); }
  static bool Makes(const Sent& call) { return call.procedure >= kCreate && call.procedure <= kMknod; }

  void SendAll(std::uint16_t port, bool first) {
    Wire wire(port);
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      Sent& call = sent_[i];
      wire.SetXid(XidOf(i));
      const WireReply reply = wire.Call(NFS_PROGRAM, 3, call.procedure, call.arguments);
      ASSERT_TRUE(reply.came) << call.what;
      ASSERT_EQ(reply.Word(0), 0U) << call.what << (first ? "" : " came again and got another answer");
      if (!Makes(call)) continue;
      ASSERT_EQ(reply.Word(1), 1U) << call.what << " gave no handle";
      const std::string handle = reply.body.substr(12, reply.Word(2));
      if (first) call.handle = handle;
      EXPECT_EQ(handle, call.handle) << call.what;
    }
  }
  // As calls of another xid they are new, and fail.
  void ExpectDone(std::uint16_t port) {
    Wire wire(port);
    for (const Sent& call : sent_) {
      if (call.procedure == kSetAttr) continue;
      EXPECT_NE(wire.Call(NFS_PROGRAM, 3, call.procedure, call.arguments).Word(0), 0U)
          << call.what << " was done twice";
    }
  }

  Service service_;
  std::string root_;
  std::vector<Sent> sent_;
};

TEST_F(Retransmission, GetsItsFirstAnswerAfterTheServerWasEndedAndStarted_Rule1_6) {
  SendAll(service_.port(), true);
  for (int life = 0; life < 3; ++life) {
    service_.Stop();
    ASSERT_TRUE(service_.Start());
    SendAll(service_.port(), false);
  }
  ExpectDone(service_.port());
}

TEST_F(Retransmission, GetsItsFirstAnswerWhenMuchWasDoneSince_Rule1_6) {
  SendAll(service_.port(), true);
  RawClient client(service_.port());
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(client.Create(root_, "more-" + std::to_string(i))->status, NFS3_OK);
  }
  ASSERT_EQ(client.Remove(root_, "file")->status, NFS3_OK) << "what was made may be gone again";
  service_.Stop();
  ASSERT_TRUE(service_.Start());
  SendAll(service_.port(), false);
}

TEST_F(Retransmission, GetsItsFirstAnswerAfterTheProcessWasKilled_Rule1_6) {
  service_.Stop();
  const auto serve = [&](std::uint16_t port) {
    return std::make_unique<ServedProcess>(std::vector<std::string>{service_.workspace(), "--insecure-ports"}, port);
  };
  auto served = serve(0);
  ASSERT_NE(served->port(), 0);
  SendAll(served->port(), true);
  const std::uint16_t port = served->port();
  served->process().Signal(SIGKILL);
  served->process().Wait();
  served = serve(port);
  ASSERT_EQ(served->port(), port);
  SendAll(port, false);
  ExpectDone(port);
}

}  // namespace
}  // namespace strata::e2e
