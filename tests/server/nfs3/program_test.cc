// What holds for all 22 procedures alike.
#include <functional>
#include <set>

#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

// A sample call of each procedure on a volume that has the file "f", the symlink "l" and the empty directory "d", and
// libnfs's decoder of its results.
struct Sample {
  std::string name;
  Bytes call;
  std::function<void(const Bytes&)> check;  // that libnfs reads exactly these results
  int handles = 1;
};

template <typename T>
std::function<void(const Bytes&)> Check(uint32_t (*proc)(ZDR*, T*)) {
  return [proc](const Bytes& bytes) { const Decoded<T> result(proc, bytes); };
}

class Nfs3ProgramTest : public ::testing::Test {
 protected:
  std::vector<Sample> Samples(const Bytes& directory, const Bytes& file, const Bytes& link) {
    return {
        {"GETATTR", Calls::GetAttr(file), Check(zdr_GETATTR3res)},
        {"SETATTR", Calls::SetAttr(file, {}), Check(zdr_SETATTR3res)},
        {"LOOKUP", Calls::Lookup(directory, "f"), Check(zdr_LOOKUP3res)},
        {"ACCESS", Calls::Access(file, 1), Check(zdr_ACCESS3res)},
        {"READLINK", Calls::ReadLink(link), Check(zdr_READLINK3res)},
        {"READ", Calls::Read(file, 0, 100), Check(zdr_READ3res)},
        {"WRITE", Calls::Write(file, 0, "abc", UNSTABLE), Check(zdr_WRITE3res)},
        {"CREATE", Calls::Create(directory, "c", GUARDED), Check(zdr_CREATE3res)},
        {"MKDIR", Calls::Mkdir(directory, "m"), Check(zdr_MKDIR3res)},
        {"SYMLINK", Calls::Symlink(directory, "s", "target"), Check(zdr_SYMLINK3res)},
        {"MKNOD", Calls::Mknod(directory, "n", NF3CHR), Check(zdr_MKNOD3res)},
        {"REMOVE", Calls::Remove(directory, "f"), Check(zdr_REMOVE3res)},
        {"RMDIR", Calls::Rmdir(directory, "d"), Check(zdr_RMDIR3res)},
        {"RENAME", Calls::Rename(directory, "f", directory, "g"), Check(zdr_RENAME3res), 2},
        {"LINK", Calls::Link(file, directory, "k"), Check(zdr_LINK3res), 2},
        {"READDIR", Calls::ReadDir(directory, 0, 4096), Check(zdr_READDIR3res)},
        {"READDIRPLUS", Calls::ReadDirPlus(directory, 0, 4096, 4096), Check(zdr_READDIRPLUS3res)},
        {"FSSTAT", Calls::FsStat(directory), Check(zdr_FSSTAT3res)},
        {"FSINFO", Calls::FsInfo(directory), Check(zdr_FSINFO3res)},
        {"PATHCONF", Calls::PathConf(directory), Check(zdr_PATHCONF3res)},
        {"COMMIT", Calls::Commit(file, 0, 0), Check(zdr_COMMIT3res)},
    };
  }
  struct World {
    explicit World(std::vector<Harness::ExportRules> exports = {}) : harness(std::move(exports)) {
      FakeFileSystem& volume = harness.volume();
      directory = harness.Handle(volume.Root());
      file = harness.Handle(volume.Make(volume.Root(), "f", FileType::kRegular, "content"));
      link = harness.Handle(volume.Make(volume.Root(), "l", FileType::kSymlink, "target"));
      volume.Make(volume.Root(), "d", FileType::kDirectory);
    }
    Harness harness;
    Bytes directory, file, link;
  };
  // Runs `visit` for each procedure in a world of its own.
  void ForEach(const std::function<void(World&, std::uint32_t, const Sample&)>& visit,
               const std::vector<Harness::ExportRules>& exports = {}) {
    for (std::uint32_t procedure = 1; procedure <= 21; ++procedure) {
      std::vector<Harness::ExportRules> fresh = exports;
      World world(std::move(fresh));
      const Sample sample = Samples(world.directory, world.file, world.link).at(procedure - 1);
      SCOPED_TRACE(sample.name);
      visit(world, procedure, sample);
    }
  }
};

TEST_F(Nfs3ProgramTest, TheTableHasAll22ProceduresByName) {
  const World world;
  const auto rows = world.harness.Procedures(Harness::kNfs, 3);
  ASSERT_EQ(rows.size(), 22u);
  EXPECT_EQ(rows[0].name, "NULL");
  ForEach([&](World&, std::uint32_t procedure, const Sample& sample) {
    EXPECT_EQ(rows[procedure].name, sample.name);
    EXPECT_TRUE(rows[procedure].has_handler);
  });
}

TEST_F(Nfs3ProgramTest, Rule1_6_TheDuplicateCacheKeepsWhatWouldAnswerOtherwiseTheSecondTime) {
  const World world;
  std::set<std::string> cached;
  for (const auto& row : world.harness.Procedures(Harness::kNfs, 3)) {
    if (row.cached) cached.insert(row.name);
  }
  EXPECT_EQ(cached, (std::set<std::string>{"SETATTR", "CREATE", "MKDIR", "SYMLINK", "MKNOD", "REMOVE", "RMDIR",
                                           "RENAME", "LINK"}));
}

TEST_F(Nfs3ProgramTest, EveryProcedureSucceedsAndLibnfsReadsItsResults) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    const Reply reply = world.harness.Nfs(procedure, sample.call);
    EXPECT_EQ(reply.accept, kAccepted);
    EXPECT_EQ(reply.status(), 0u);
    sample.check(reply.bytes);
    EXPECT_LE(reply.bytes.size(), world.harness.Procedures(Harness::kNfs, 3)[procedure].largest_reply);
  });
}

TEST_F(Nfs3ProgramTest, Rule1_2_ArgumentsCutShortOrLongerAreGarbageAndNothingIsDone) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    const int before = world.harness.volume().calls;
    for (std::size_t size = 0; size < sample.call.size(); ++size) {
      EXPECT_EQ(world.harness
                    .Nfs(procedure, Bytes(sample.call.begin(), sample.call.begin() + static_cast<std::ptrdiff_t>(size)))
                    .accept,
                kGarbageArgs);
    }
    for (const std::size_t more : {1u, 4u, 100u}) {
      Bytes longer = sample.call;
      longer.resize(longer.size() + more);
      EXPECT_EQ(world.harness.Nfs(procedure, longer).accept, kGarbageArgs);
    }
    EXPECT_EQ(world.harness.volume().calls, before);
  });
}

TEST_F(Nfs3ProgramTest, AHandleOfMoreThan64BytesIsGarbage) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    Bytes call = sample.call;
    call[3] = 68;
    call.insert(call.begin() + 44, 28, 'h');
    EXPECT_EQ(world.harness.Nfs(procedure, call).accept, kGarbageArgs);
  });
}

TEST_F(Nfs3ProgramTest, Rule3_1_AForgedHandleIsBadHandleEverywhere) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    Bytes call = sample.call;
    call[4 + 20] ^= 1;  // the inode number
    const int before = world.harness.volume().calls;
    const Reply reply = world.harness.Nfs(procedure, call);
    EXPECT_EQ(reply.status(), 10001u);
    sample.check(reply.bytes);
    if (sample.handles == 1) {
      EXPECT_EQ(world.harness.volume().calls, before);
    }
  });
}

TEST_F(Nfs3ProgramTest, Rule3_2_AnObjectThatIsGoneIsStaleEverywhere) {
  const FakeFileSystem blank;
  Harness harness;
  const Bytes gone = harness.Handle({InodeNumber(12345), Generation(1), 0});
  const std::vector<Sample> samples = Samples(gone, gone, gone);
  for (std::uint32_t procedure = 1; procedure <= 21; ++procedure) {
    const Reply reply = harness.Nfs(procedure, samples[procedure - 1].call);
    EXPECT_EQ(reply.status(), 70u) << samples[procedure - 1].name;
    samples[procedure - 1].check(reply.bytes);
  }
}

TEST_F(Nfs3ProgramTest, ACallThatMustWaitWritesNothingAndSucceedsWhereItMay) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    world.harness.volume().must_wait = true;
    const Reply parked = world.harness.Nfs(procedure, sample.call);
    EXPECT_TRUE(parked.would_block);
    EXPECT_TRUE(parked.bytes.empty());
    world.harness.may_block = true;
    const Reply reply = world.harness.Nfs(procedure, sample.call);
    EXPECT_FALSE(reply.would_block);
    EXPECT_EQ(reply.status(), 0u);
  });
}

TEST_F(Nfs3ProgramTest, ACallThatWaitsForWhatIsElsewhereParksWhereverItRunsAndSucceedsOnceThatHasCome) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    const auto fetch = std::make_shared<Fetch>("thing");
    world.harness.volume().fetch = fetch;
    for (const bool may_block : {false, true}) {
      world.harness.may_block = may_block;
      const Reply parked = world.harness.Nfs(procedure, sample.call);
      EXPECT_TRUE(parked.would_block);
      EXPECT_TRUE(parked.bytes.empty());
      EXPECT_EQ(world.harness.fetch, fetch);
    }
    fetch->Complete({});
    const Reply reply = world.harness.Nfs(procedure, sample.call);
    EXPECT_FALSE(reply.would_block);
    EXPECT_EQ(reply.status(), 0u);
    sample.check(reply.bytes);
  });
}

TEST_F(Nfs3ProgramTest, ALateCallIsToldToComeAgainLaterWithTheAttributesThatAreAtHand) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    const bool attributes_alone = procedure == 1 || procedure == 19 || procedure == 20;
    world.harness.volume().fetch = std::make_shared<Fetch>("thing");
    world.harness.may_block = world.harness.late = true;
    for (const bool in_memory : {false, true}) {
      if (in_memory && attributes_alone) continue;  // there is nothing to wait for
      world.harness.volume().attributes_in_memory = in_memory;
      const Reply reply = world.harness.Nfs(procedure, sample.call);
      EXPECT_FALSE(reply.would_block);
      EXPECT_EQ(reply.accept, kAccepted);
      EXPECT_EQ(reply.status(), 10008u);
      EXPECT_EQ(reply.commitment, vfs::Commitment::kNone);
      sample.check(reply.bytes);
      // A status, and a post_op_attr or wcc_data: with 84 bytes of attributes, or without.
      if (in_memory) {
        EXPECT_GE(reply.bytes.size(), 4u + 4u + 84u);
      } else {
        EXPECT_LT(reply.bytes.size(), 4u + 84u);
      }
    }
  });
}

TEST_F(Nfs3ProgramTest, ALateCallThatFindsAllItNeedsSucceeds) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    world.harness.may_block = world.harness.late = true;
    EXPECT_EQ(world.harness.Nfs(procedure, sample.call).status(), 0u);
  });
}

TEST_F(Nfs3ProgramTest, AVolumeThatWouldBlockThoughItMayIsAskedAgainLater) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    if (procedure == 1 || procedure == 19 || procedure == 20) return;  // they ask for attributes alone
    world.harness.may_block = true;
    world.harness.volume().failure = Errc::kWouldBlock;
    const Reply reply = world.harness.Nfs(procedure, sample.call);
    EXPECT_FALSE(reply.would_block);
    EXPECT_EQ(reply.status(), 10008u);
  });
}

// Spec nfsv3 4.1: whatever goes wrong, the reply decodes, and has the attributes that it has room for.
TEST_F(Nfs3ProgramTest, Rule4_1_EveryFailureIsAReplyWithAttributes) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    const bool attributes_alone = procedure == 1 || procedure == 19 || procedure == 20;
    if (attributes_alone) world.harness.volume().attributes_fail = true;
    for (const bool hide : {false, true}) {
      world.harness.volume().hide_attributes = hide;
      for (int code = 0; code <= static_cast<int>(Errc::kBusy); ++code) {
        if (static_cast<Errc>(code) == Errc::kWouldBlock) continue;
        world.harness.volume().failure = static_cast<Errc>(code);
        const Reply reply = world.harness.Nfs(procedure, sample.call);
        EXPECT_EQ(reply.accept, kAccepted);
        EXPECT_NE(reply.status(), 0u);
        EXPECT_FALSE(reply.has_volume);
        sample.check(reply.bytes);
        if (!attributes_alone) {
          EXPECT_GE(reply.bytes.size(), 4u + 88u) << code;
        }
      }
    }
  });
}

TEST_F(Nfs3ProgramTest, ChangesWithoutAttributesFromTheVolumeGetThoseOfNow) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    world.harness.volume().hide_attributes = true;
    const Reply reply = world.harness.Nfs(procedure, sample.call);
    EXPECT_EQ(reply.status(), 0u);
    sample.check(reply.bytes);
    EXPECT_GE(reply.bytes.size(), 4u + 84u);
  });
}

TEST_F(Nfs3ProgramTest, ACommitmentThatCannotBeMetIsAnIoErrorOfTheRightShape) {
  std::size_t shapes = 0;
  ForEach([&shapes](World& world, std::uint32_t procedure, const Sample& sample) {
    const Reply reply = world.harness.Nfs(procedure, sample.call);
    const Bytes failure = world.harness.FailureReply(procedure);
    ASSERT_EQ(failure.empty(), reply.commitment == vfs::Commitment::kNone)
        << "one that asks for a commitment must have an answer for its failure";
    if (failure.empty()) return;
    ++shapes;
    EXPECT_EQ(failure[3], 5);
    sample.check(failure);
  });
  EXPECT_EQ(shapes, 11u);
}

TEST_F(Nfs3ProgramTest, Rule2_4_AnUnprivilegedSourcePortGetsNothing) {
  ForEach([](World& world, std::uint32_t procedure, const Sample& sample) {
    world.harness.from.port = 1024;
    const int before = world.harness.volume().calls;
    const Reply reply = world.harness.Nfs(procedure, sample.call);
    EXPECT_EQ(reply.status(), 13u);
    EXPECT_LE(reply.bytes.size(), 4u + 16u);
    sample.check(reply.bytes);
    EXPECT_EQ(world.harness.volume().calls, before);
    EXPECT_EQ(world.harness.Nfs(0, {}).accept, kAccepted) << "mount.nfs pings from any port";
  });
  ForEach(
      [](World& world, std::uint32_t procedure, const Sample& sample) {
        world.harness.from.port = 50000;
        EXPECT_EQ(world.harness.Nfs(procedure, sample.call).status(), 0u);
      },
      {{.insecure_ports = true}});
}

TEST_F(Nfs3ProgramTest, AForeignAddressIsNotAdmitted) {
  World world({{.allow = {"10.1.0.0/16"}}});
  for (const auto& [address, admitted] :
       {std::pair{"127.0.0.1", true}, {"::1", true}, {"10.1.2.3", true}, {"10.2.0.1", false}, {"2001:db8::1", false}}) {
    world.harness.from.address = address;
    EXPECT_EQ(world.harness.Admits(Harness::kNfs), admitted) << address;
    EXPECT_EQ(world.harness.Admits(Harness::kMount), admitted) << address;
    EXPECT_EQ(world.harness.Nfs(1, Calls::GetAttr(world.file)).status(), admitted ? 0u : 13u) << address;
  }
}

TEST_F(Nfs3ProgramTest, CallsActAsTheSquashedCaller) {
  World world(std::vector<Harness::ExportRules>{{.squash = 1}});
  world.harness.credentials.uid = 0;
  world.harness.Nfs(1, Calls::GetAttr(world.file));
  EXPECT_EQ(world.harness.volume().last_credentials.uid, 65534u);
  world.harness.credentials.uid = 1000;
  world.harness.Nfs(1, Calls::GetAttr(world.file));
  EXPECT_EQ(world.harness.volume().last_credentials.uid, 1000u);
}

}  // namespace
}  // namespace strata::testing
