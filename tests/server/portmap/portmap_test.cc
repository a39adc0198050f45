// portmap v2, rpcbind v3 and v4, with libnfs's encoders and decoders.
#include <nfsc/libnfs-raw-portmap.h>
#include <nfsc/libnfs-zdr.h>
#include <sys/stat.h>

#include <ctime>

#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

class PortmapTest : public ::testing::Test {
 protected:
  PortmapTest() {
    harness_.Register(100003, 3, "0.0.0.0", 2049, false);
    harness_.Register(100005, 3, "127.0.0.1", 2049, true);
    harness_.Register(100003, 3, "::", 2049, false);
  }
  Reply Call(std::uint32_t version, std::uint32_t procedure, const Bytes& arguments) {
    return harness_.Call(Harness::kPortmap, version, procedure, arguments);
  }
  static Bytes V2(u_int program, u_int version, u_int protocol, u_int port = 0) {
    return Encode(zdr_pmap2_mapping, pmap2_mapping{program, version, protocol, port});
  }
  static Bytes V3(u_int program, u_int version, std::string netid, std::string address = "", std::string owner = "") {
    return Encode(zdr_pmap3_mapping, pmap3_mapping{program, version, netid.data(), address.data(), owner.data()});
  }
  std::string Address(std::uint32_t version, const Bytes& arguments, std::uint32_t procedure = 3) {
    const Decoded<pmap3_string_result> result(zdr_pmap3_string_result, Call(version, procedure, arguments).bytes);
    return result->addr;
  }
  bool Truth(const Reply& reply) {
    EXPECT_EQ(reply.bytes.size(), 4u);
    return reply.Word(0) == 1;
  }

  Harness harness_;
};

TEST_F(PortmapTest, Rule2_3_GetPortTellsWhereAProgramIs) {
  EXPECT_EQ(Call(2, 3, V2(100003, 3, 6)).Word(0), 2049u);
  EXPECT_EQ(Call(2, 3, V2(100003, 3, 17)).Word(0), 0u);
  EXPECT_EQ(Call(2, 3, V2(100005, 3, 17)).Word(0), 2049u);
  EXPECT_EQ(Call(2, 3, V2(100005, 1, 17)).Word(0), 2049u) << "another version's port, as rpcbind answers";
  EXPECT_EQ(Call(2, 3, V2(100021, 4, 6)).Word(0), 0u);
  EXPECT_EQ(Call(2, 3, V2(100003, 3, 99)).Word(0), 0u);
}

TEST_F(PortmapTest, DumpV2ListsWhatVersion2CanSay) {
  const Decoded<pmap2_dump_result> result(zdr_pmap2_dump_result, Call(2, 4, {}).bytes);
  const pmap2_mapping_list* first = result->list;
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->map.prog, 100003u);
  EXPECT_EQ(first->map.prot, 6u);
  ASSERT_NE(first->next, nullptr);
  EXPECT_EQ(first->next->map.prot, 17u);
  EXPECT_EQ(first->next->map.port, 2049u);
  EXPECT_EQ(first->next->next, nullptr);
}

TEST_F(PortmapTest, DumpV3AndV4ListEverything) {
  for (const std::uint32_t version : {3u, 4u}) {
    const Decoded<pmap3_dump_result> result(zdr_pmap3_dump_result, Call(version, 4, {}).bytes);
    std::vector<std::string> all;
    for (const pmap3_mapping_list* at = result->list; at != nullptr; at = at->next) {
      all.push_back(std::to_string(at->map.prog) + " " + std::to_string(at->map.vers) + " " + at->map.netid + " " +
                    at->map.addr);
    }
    EXPECT_EQ(all, (std::vector<std::string>{"100003 3 tcp 0.0.0.0.8.1", "100005 3 udp 127.0.0.1.8.1",
                                             "100003 3 tcp6 ::.8.1"}));
  }
}

TEST_F(PortmapTest, GetAddressFitsTheNetidAndTheAddressThatTheClientReached) {
  for (const std::uint32_t version : {3u, 4u}) {
    EXPECT_EQ(Address(version, V3(100003, 3, "tcp")), "127.0.0.1.8.1");
    EXPECT_EQ(Address(version, V3(100003, 3, "tcp", "10.1.2.3.0.111")), "10.1.2.3.8.1");
    EXPECT_EQ(Address(version, V3(100003, 3, "tcp6")), "::1.8.1");
    EXPECT_EQ(Address(version, V3(100003, 3, "tcp6", "2001:db8::5.0.111")), "2001:db8::5.8.1");
    EXPECT_EQ(Address(version, V3(100003, 3, "tcp", "2001:db8::5.0.111")), "127.0.0.1.8.1")
        << "an address of the other family";
    EXPECT_EQ(Address(version, V3(100005, 3, "udp", "10.1.2.3.0.111")), "127.0.0.1.8.1") << "it listens nowhere else";
    EXPECT_EQ(Address(version, V3(100003, 3, "udp")), "");
    EXPECT_EQ(Address(version, V3(100003, 3, "")), "127.0.0.1.8.1") << "the netid of the call's own transport";
    EXPECT_EQ(Address(version, V3(1, 1, "tcp")), "");
  }
  EXPECT_EQ(Address(4, V3(100003, 3, "tcp"), 9), "127.0.0.1.8.1");
  EXPECT_EQ(Address(4, V3(100003, 4, "tcp"), 9), "") << "GETVERSADDR wants this very version";
  harness_.from.address = "10.5.5.5";
  EXPECT_EQ(Address(4, V3(100003, 3, "tcp")), "0.0.0.0.8.1");
}

TEST_F(PortmapTest, Rule2_3_SetAndUnsetFromALocalPrivilegedCallerAndNobodyElse) {
  struct Case {
    From from;
    bool allowed;
  };
  for (const Case& c :
       {Case{{.address = "127.0.0.1", .port = 1023}, true},
        Case{{.address = "::1", .port = 600, .datagram = true}, true},
        Case{{.address = "127.0.0.1", .port = 1024}, false}, Case{{.address = "10.0.0.1", .port = 600}, false},
        Case{{.port = 0, .local_socket = true, .local_uid = 0}, true},
        Case{{.port = 0, .local_socket = true, .local_uid = 1000}, false},
        Case{{.port = 0, .local_socket = true}, false}}) {
    harness_.from = c.from;
    EXPECT_EQ(Truth(Call(2, 1, V2(100024, 1, 6, 5000))), c.allowed);
    EXPECT_EQ(Call(2, 3, V2(100024, 1, 6)).Word(0), c.allowed ? 5000u : 0u);
    EXPECT_EQ(Truth(Call(4, 1, V3(100024, 1, "udp", "0.0.0.0.19.136", "me"))), c.allowed);
    EXPECT_EQ(Call(2, 3, V2(100024, 1, 17)).Word(0), c.allowed ? 5000u : 0u);
    EXPECT_EQ(Truth(Call(2, 2, V2(100024, 1, 0))), c.allowed) << "UNSET takes both protocols";
    EXPECT_EQ(Call(2, 3, V2(100024, 1, 17)).Word(0), 0u);
    EXPECT_FALSE(Truth(Call(3, 2, V3(100024, 1, "")))) << "nothing is left";
  }
}

TEST_F(PortmapTest, Rule2_3_TheStatusMonitorRegistersItselfAsTheOwnerOfItsState) {
  struct stat state;
  if (::stat("/var/lib/nfs/statd/sm", &state) != 0 && ::stat("/var/lib/nfs/sm", &state) != 0) {
    GTEST_SKIP() << "rpc.statd is not installed here: nobody owns its state";
  }
  if (state.st_uid == 0) GTEST_SKIP() << "rpc.statd's state belongs to root here";
  harness_.from = {.port = 0, .local_socket = true, .local_uid = state.st_uid};
  EXPECT_TRUE(Truth(Call(4, 1, V3(100024, 1, "udp", "0.0.0.0.19.136", "statd"))));
  EXPECT_FALSE(Truth(Call(4, 1, V3(100021, 4, "udp", "0.0.0.0.19.136", "statd")))) << "itself, and nothing else";
  EXPECT_TRUE(Truth(Call(4, 2, V3(100024, 1, "udp"))));
  harness_.from.local_uid = state.st_uid + 1;
  EXPECT_FALSE(Truth(Call(4, 1, V3(100024, 1, "udp", "0.0.0.0.19.136", "statd"))));
}

TEST_F(PortmapTest, TheServersOwnRegistrationsCannotBeTakenOver) {
  EXPECT_FALSE(Truth(Call(2, 2, V2(100003, 3, 6))));
  EXPECT_FALSE(Truth(Call(4, 2, V3(100003, 3, "", "", "strata"))));
  EXPECT_FALSE(Truth(Call(4, 1, V3(100003, 3, "tcp", "127.0.0.1.9.9"))));
  EXPECT_EQ(Call(2, 3, V2(100003, 3, 6)).Word(0), 2049u);
}

TEST_F(PortmapTest, AnUnsetForOneProtocolLeavesTheOther) {
  EXPECT_TRUE(Truth(Call(3, 1, V3(100024, 1, "tcp", "0.0.0.0.1.1"))));
  EXPECT_TRUE(Truth(Call(3, 1, V3(100024, 1, "udp", "0.0.0.0.1.1"))));
  EXPECT_TRUE(Truth(Call(3, 2, V3(100024, 1, "udp"))));
  EXPECT_EQ(Call(2, 3, V2(100024, 1, 6)).Word(0), 257u);
  EXPECT_EQ(Call(2, 3, V2(100024, 1, 17)).Word(0), 0u);
}

TEST_F(PortmapTest, NonsenseIsNotRegistered) {
  EXPECT_FALSE(Truth(Call(2, 1, V2(100024, 1, 6, 0))));
  EXPECT_FALSE(Truth(Call(2, 1, V2(100024, 1, 6, 65536))));
  EXPECT_FALSE(Truth(Call(2, 1, V2(100024, 1, 99, 5))));
  EXPECT_FALSE(Truth(Call(4, 1, V3(100024, 1, "", "0.0.0.0.1.1"))));
  EXPECT_FALSE(Truth(Call(4, 1, V3(100024, 1, "tcp", ""))));
  EXPECT_FALSE(Truth(Call(4, 1, V3(100024, 1, "tcp\n", "0.0.0.0.1.1"))));
  EXPECT_FALSE(Truth(Call(4, 1, V3(100024, 1, "tcp", std::string(200, '1')))));
  EXPECT_EQ(Call(4, 1, V3(100024, 1, "tcp", std::string(20'000, '1'))).accept, kGarbageArgs);
}

TEST_F(PortmapTest, CallsInSomebodyElsesNameAreNotOffered) {
  EXPECT_EQ(harness_.Procedures(Harness::kPortmap, 2).size(), 5u);
  EXPECT_FALSE(harness_.Procedures(Harness::kPortmap, 3)[5].has_handler);
  EXPECT_FALSE(harness_.Procedures(Harness::kPortmap, 4)[5].has_handler);
}

TEST_F(PortmapTest, WhoeverCallsFromBeyondThisMachineIsAnsweredWhereThatIsSaid) {
  for (const bool admits : {false, true}) {
    harness_.portmap_admits = admits;
    for (const From& here :
         {From{.address = "127.0.0.1", .port = 40'000}, From{.address = "::1"},
          From{.port = 0, .local_socket = true, .local_uid = 1000}, From{.address = "10.1.0.1", .local = "10.1.0.1"}}) {
      harness_.from = here;
      EXPECT_TRUE(harness_.Admits(Harness::kPortmap)) << here.address;
    }
    for (const From& beyond : {From{.address = "10.1.2.3", .local = "10.1.0.1"}, From{.address = "10.1.2.3"},
                               From{.address = "2001:db8::5", .datagram = true}}) {
      harness_.from = beyond;
      EXPECT_EQ(harness_.Admits(Harness::kPortmap), admits) << beyond.address;
    }
  }
}

TEST_F(PortmapTest, TheServersOwnStatusMonitorIsForOtherMachines) {
  harness_.Register(100024, 1, "10.1.0.1", 2049, false);
  const auto count = [&](std::uint32_t version) {
    std::size_t found = 0;
    if (version == 2) {
      const Decoded<pmap2_dump_result> result(zdr_pmap2_dump_result, Call(2, 4, {}).bytes);
      for (const pmap2_mapping_list* at = result->list; at != nullptr; at = at->next) found += at->map.prog == 100024;
    } else {
      const Decoded<pmap3_dump_result> result(zdr_pmap3_dump_result, Call(version, 4, {}).bytes);
      for (const pmap3_mapping_list* at = result->list; at != nullptr; at = at->next) found += at->map.prog == 100024;
    }
    return found;
  };
  for (const From& here : {From{}, From{.address = "::1"}, From{.port = 0, .local_socket = true, .local_uid = 0},
                           From{.address = "10.1.0.1", .local = "10.1.0.1"}}) {
    harness_.from = here;
    EXPECT_EQ(Call(2, 3, V2(100024, 1, 6)).Word(0), 0u);
    EXPECT_EQ(Address(3, V3(100024, 1, "tcp")), "");
    EXPECT_EQ(Address(4, V3(100024, 1, "tcp"), 9), "");
    for (const std::uint32_t version : {2u, 3u, 4u}) EXPECT_EQ(count(version), 0u);
  }
  harness_.from = {.address = "10.1.2.3", .local = "10.1.0.1"};
  EXPECT_EQ(Call(2, 3, V2(100024, 1, 6)).Word(0), 2049u);
  EXPECT_EQ(Address(3, V3(100024, 1, "tcp")), "10.1.0.1.8.1");
  EXPECT_EQ(Address(4, V3(100024, 1, "tcp"), 9), "10.1.0.1.8.1");
  for (const std::uint32_t version : {2u, 3u, 4u}) EXPECT_EQ(count(version), 1u);
  harness_.from = {};
  EXPECT_TRUE(Truth(Call(2, 1, V2(100024, 1, 6, 5000)))) << "rpc.statd comes";
  EXPECT_EQ(Call(2, 3, V2(100024, 1, 6)).Word(0), 5000u);
  harness_.from = {.address = "10.1.2.3", .local = "10.1.0.1"};
  EXPECT_EQ(Call(2, 3, V2(100024, 1, 6)).Word(0), 5000u) << "and serves for all of this machine";
}

TEST_F(PortmapTest, WhatIsKeptInAFileWaitsForTheDisk) {
  for (const std::uint32_t version : {2u, 3u, 4u}) {
    for (const Harness::ProcedureInfo& row : harness_.Procedures(Harness::kPortmap, version)) {
      EXPECT_EQ(row.always_blocks, row.name == "SET" || row.name == "UNSET") << row.name;
    }
  }
}

TEST_F(PortmapTest, GetTimeIsTheTime) {
  const std::time_t before = std::time(nullptr);
  for (const std::uint32_t version : {3u, 4u}) {
    const std::uint32_t time = Call(version, 6, {}).Word(0);
    EXPECT_GE(time, before);
    EXPECT_LE(time, std::time(nullptr));
  }
}

TEST_F(PortmapTest, ArgumentsThatDoNotDecodeAreGarbage) {
  for (const std::uint32_t version : {2u, 3u, 4u}) {
    const auto rows = harness_.Procedures(Harness::kPortmap, version);
    for (std::uint32_t procedure = 0; procedure < rows.size(); ++procedure) {
      if (!rows[procedure].has_handler) continue;
      const bool bare =
          rows[procedure].name == "NULL" || rows[procedure].name == "DUMP" || rows[procedure].name == "GETTIME";
      Bytes arguments = bare ? Bytes() : version == 2 ? V2(1, 1, 6, 1) : V3(1, 1, "tcp", "1.2.3.4.5.6", "me");
      EXPECT_EQ(Call(version, procedure, arguments).accept, kAccepted);
      arguments.push_back(0);
      EXPECT_EQ(Call(version, procedure, arguments).accept, kGarbageArgs) << version << " " << procedure;
      arguments.pop_back();
      if (bare) continue;
      for (std::size_t size = 0; size < arguments.size(); size += 4) {
        EXPECT_EQ(
            Call(version, procedure, Bytes(arguments.begin(), arguments.begin() + static_cast<std::ptrdiff_t>(size)))
                .accept,
            kGarbageArgs);
      }
    }
  }
}

}  // namespace
}  // namespace strata::testing
