// The server over a disk that fails: what was parked for a sync gets NFS3ERR_IO in a whole reply, of each procedure
// that changes something, checked byte by byte against RFC 1813; what only looks is answered as before.
#include "server/server.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "base/resident.h"
#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"
#include "tests/e2e/wire.h"
#include "vfs/workspace/workspace.h"

namespace strata::e2e {
namespace {

constexpr std::uint32_t kOk = 0, kIoError = 5;
constexpr std::uint32_t kNfs = 100003, kMount = 100005;

// What a reply's failure body consists of, after the status (RFC 1813 3.3).
enum class Body { kWcc, kTwoWccs, kAttributesAndWcc };

struct Procedure {
  std::string name;
  std::uint32_t number = 0;
  std::string arguments;
  Body body = Body::kWcc;
};

// Reads a reply's body; `sound` ends false if it is not what it should be.
class Reader {
 public:
  explicit Reader(const WireReply& reply) : reply_(reply) {}
  std::uint32_t Word() {
    if (at_ * 4 + 4 > reply_.body.size()) sound = false;
    return reply_.Word(at_++);
  }
  void Skip(std::size_t words) {
    for (std::size_t i = 0; i < words; ++i) Word();
  }
  bool Flag() {
    const std::uint32_t flag = Word();
    if (flag > 1) sound = false;
    return flag == 1;
  }
  void Attributes() {
    if (!Flag()) return;
    const std::uint32_t type = Word();
    if (type < 1 || type > 7) sound = false;
    Skip(20);
  }
  void Wcc() {
    if (Flag()) Skip(6);
    Attributes();
  }
  bool AtEnd() const { return at_ * 4 == reply_.body.size(); }

  bool sound = true;

 private:
  const WireReply& reply_;
  std::size_t at_ = 0;
};

class SyncFailure : public ::testing::Test {
 protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);  // what is made to fail here need not be told
    std::filesystem::create_directory(folder_ / "lower");
    ASSERT_TRUE(vfs::InitWorkspace(env_, folder_ / "workspace", {{.path = folder_ / "lower", .markers = {}}}));
    Open();
  }
  void Open() {
    vfs::WorkspaceOptions options;
    options.checkpoint_bytes = options.checkpoint_records = ~0ULL;
    auto opened = vfs::Workspace::Open(env_, folder_ / "workspace", options);
    ASSERT_TRUE(opened) << opened.error().ToString();
    volume_ = std::move(*opened);
    ServerOptions server_options;
    server_options.listen = {{"127.0.0.1", 0}};
    ExportOptions exported;
    exported.insecure_ports = true;
    auto started = Server::Start(server_options, {{exported, volume_}});
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
    wire_ = std::make_unique<Wire>(server_->endpoints()[0].port);
    ASSERT_TRUE(wire_->connected());
    const WireReply mounted = wire_->Call(kMount, 3, 1, Xdr().Opaque("/").bytes());
    ASSERT_EQ(mounted.Word(0), kOk);
    root_ = mounted.body.substr(8, mounted.Word(1));
  }
  void TearDown() override { End(); }
  void End() {
    wire_.reset();
    if (server_) server_->Stop();
    server_.reset();
    volume_.reset();
  }
  WireReply Call(std::uint32_t procedure, const std::string& arguments) {
    return wire_->Call(kNfs, 3, procedure, arguments);
  }
  // The handle that a CREATE or MKDIR in the root answers.
  std::string Make(std::uint32_t procedure, const std::string& name) {
    Xdr arguments = Xdr().Opaque(root_).Opaque(name);
    if (procedure == 8) arguments.Word(1);
    const WireReply reply = Call(procedure, arguments.bytes() + NoAttributes());
    EXPECT_EQ(reply.Word(0), kOk) << name;
    EXPECT_EQ(reply.Word(1), 1u);
    return reply.body.size() < 12 ? "" : reply.body.substr(12, reply.Word(2));
  }
  static std::string NoAttributes() { return Xdr().Word(0).Word(0).Word(0).Word(0).Word(0).Word(0).bytes(); }
  static std::string ModeAttribute() {
    return Xdr().Word(1).Word(0600).Word(0).Word(0).Word(0).Word(0).Word(0).bytes();
  }

  std::vector<Procedure> Procedures() {
    const std::string file = Make(8, "file"), directory = Make(9, "directory");
    Make(8, "removed");
    Make(9, "empty");
    return {
        {"SETATTR", 2, Xdr().Opaque(file).bytes() + ModeAttribute() + Xdr().Word(0).bytes(), Body::kWcc},
        {"WRITE, FILE_SYNC", 7, Xdr().Opaque(file).Long(0).Word(5).Word(2).Opaque("hello").bytes(), Body::kWcc},
        {"WRITE, DATA_SYNC", 7, Xdr().Opaque(file).Long(0).Word(5).Word(1).Opaque("hello").bytes(), Body::kWcc},
        {"CREATE", 8, Xdr().Opaque(root_).Opaque("new").Word(1).bytes() + NoAttributes(), Body::kWcc},
        {"CREATE, exclusive", 8, Xdr().Opaque(root_).Opaque("new").Word(2).Long(77).bytes(), Body::kWcc},
        {"MKDIR", 9, Xdr().Opaque(root_).Opaque("new").bytes() + NoAttributes(), Body::kWcc},
        {"SYMLINK", 10, Xdr().Opaque(root_).Opaque("new").bytes() + NoAttributes() + Xdr().Opaque("to").bytes(),
         Body::kWcc},
        {"MKNOD", 11, Xdr().Opaque(root_).Opaque("new").Word(7).bytes() + NoAttributes(), Body::kWcc},
        {"REMOVE", 12, Xdr().Opaque(root_).Opaque("removed").bytes(), Body::kWcc},
        {"RMDIR", 13, Xdr().Opaque(root_).Opaque("empty").bytes(), Body::kWcc},
        {"RENAME", 14, Xdr().Opaque(root_).Opaque("file").Opaque(directory).Opaque("moved").bytes(), Body::kTwoWccs},
        {"LINK", 15, Xdr().Opaque(file).Opaque(directory).Opaque("linked").bytes(), Body::kAttributesAndWcc},
        {"COMMIT", 21, Xdr().Opaque(file).Long(0).Word(0).bytes(), Body::kWcc},
    };
  }
  static constexpr std::size_t kProcedures = 13;

  static void ExpectWholeFailure(const WireReply& reply, Body body) {
    ASSERT_TRUE(reply.came);
    EXPECT_EQ(reply.denied, 0u);
    EXPECT_EQ(reply.accepted, 0u);
    Reader reader(reply);
    EXPECT_EQ(reader.Word(), kIoError);
    if (body == Body::kAttributesAndWcc) reader.Attributes();
    reader.Wcc();
    if (body == Body::kTwoWccs) reader.Wcc();
    EXPECT_TRUE(reader.sound) << "a failure body that does not parse";
    EXPECT_TRUE(reader.AtEnd()) << "bytes are left over, or missing, in the failure body";
  }

  strata::TempFolder folder_;
  FaultEnv env_;
  std::shared_ptr<vfs::Workspace> volume_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Wire> wire_;
  std::string root_;
};

TEST_F(SyncFailure, GivesEachProcedureThatWaitsIoErrorInAWholeReply) {
  for (std::size_t which = 0; which < kProcedures; ++which) {
    if (which != 0) Open();
    const std::vector<Procedure> procedures = Procedures();
    ASSERT_EQ(procedures.size(), kProcedures);
    const Procedure& procedure = procedures[which];
    SCOPED_TRACE(procedure.name);
    const std::string looked = Xdr().Opaque(root_).bytes();
    if (procedure.name == "COMMIT") {
      // Something for it to wait for.
      const std::string& write = procedures[1].arguments;
      std::string unstable = write;
      const std::size_t stable = write.size() - 12 - 4;  // before the data's length and its eight bytes
      unstable.replace(stable, 4, Xdr().Word(0).bytes());
      ASSERT_EQ(Call(7, unstable).Word(0), kOk);
    }
    env_.FailAfter(FaultEnv::kSync, 0, Errc::kIo);
    ExpectWholeFailure(Call(procedure.number, procedure.arguments), procedure.body);
    // The fault is over, but the journal stays refused: so are all other changes, in whole replies too.
    for (const Procedure& later : procedures) {
      SCOPED_TRACE("then " + later.name);
      const WireReply reply = Call(later.number, later.arguments);
      ASSERT_TRUE(reply.came);
      // A COMMIT of what had been durable before has nothing to wait for; its verifier tells the rest.
      if (later.name != "COMMIT") {
        EXPECT_NE(reply.Word(0), kOk);
      }
      if (reply.Word(0) == kIoError) ExpectWholeFailure(reply, later.body);
    }
    EXPECT_EQ(Call(1, looked).Word(0), kOk) << "reads go on";
    EXPECT_EQ(Call(3, Xdr().Opaque(root_).Opaque("directory").bytes()).Word(0), kOk);
    EXPECT_EQ(Call(16, Xdr().Opaque(root_).Long(0).Long(0).Word(4096).bytes()).Word(0), kOk);
    End();
    std::filesystem::remove_all(folder_ / "workspace");
    ASSERT_TRUE(vfs::InitWorkspace(env_, folder_ / "workspace", {{.path = folder_ / "lower", .markers = {}}}));
  }
}

TEST_F(SyncFailure, ChangesTheVerifierThatWriteAndCommitAnswer) {
  const std::string file = Make(8, "file");
  const std::string write = Xdr().Opaque(file).Long(0).Word(5).Word(0).Opaque("hello").bytes();
  const WireReply wrote = Call(7, write);
  ASSERT_EQ(wrote.Word(0), kOk);
  const std::string before = wrote.body.substr(wrote.body.size() - 8);
  env_.FailAfter(FaultEnv::kSync, 0, Errc::kIo);
  const std::string commit = Xdr().Opaque(file).Long(0).Word(0).bytes();
  ExpectWholeFailure(Call(21, commit), Body::kWcc);
  const vfs::WriteVerifier now = volume_->CurrentWriteVerifier();
  EXPECT_NE(std::string(now.begin(), now.end()), before);
  End();
  Open();
  const WireReply again = Call(21, Xdr().Opaque(Make(8, "other")).Long(0).Word(0).bytes());
  ASSERT_EQ(again.Word(0), kOk);
  EXPECT_NE(again.body.substr(again.body.size() - 8), before);
}

// Somebody else cuts a segment that is mapped: what lay there is an error, and not a signal.
TEST_F(SyncFailure, OfAFileOfTheJournalThatWasCutIsAnErrorOfTheRead) {
  const std::string file = Make(8, "file"), small = Make(8, "small");
  const auto write = [&](const std::string& handle, std::size_t size) {
    const std::string bytes(size, 'x');
    return Call(7, Xdr().Opaque(handle).Long(0).Word(static_cast<std::uint32_t>(size)).Word(2).Opaque(bytes).bytes());
  };
  const auto read = [&](const std::string& handle, std::uint32_t count) {
    return Call(6, Xdr().Opaque(handle).Long(0).Word(count).bytes());
  };
  ASSERT_EQ(write(file, 200'000).Word(0), kOk);
  ASSERT_EQ(write(small, 100).Word(0), kOk);
  ASSERT_EQ(read(file, 200'000).Word(0), kOk);
  ASSERT_EQ(read(small, 100).Word(0), kOk);
  std::filesystem::resize_file(folder_ / "workspace/journal/0000000000000000.seg", 4096);
  for (const auto& [handle, count] : {std::pair(small, 100u), std::pair(file, 200'000u)}) {
    WireReply reply = read(handle, count);
    if (!reply.came) {  // it referred to what is not there, and the connection ended
      wire_ = std::make_unique<Wire>(server_->endpoints()[0].port);
      reply = read(handle, count);
    }
    ASSERT_TRUE(reply.came);
    EXPECT_EQ(reply.Word(0), kIoError);
  }
  EXPECT_GT(mapping_faults.load(), 0u);
  EXPECT_EQ(Call(1, Xdr().Opaque(file).bytes()).Word(0), kOk) << "all else goes on";
}

}  // namespace
}  // namespace strata::e2e
