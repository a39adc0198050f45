// NLM version 4, with libnfs's encoders and decoders.
#include <nfsc/libnfs-raw-nlm.h>
#include <nfsc/libnfs-zdr.h>

#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

constexpr std::uint32_t kTest = 1, kLock = 2, kCancel = 3, kUnlock = 4, kShare = 20, kUnshare = 21, kNmLock = 22,
                        kFreeAll = 23;

struct Ask {
  std::string owner = "12@a";
  std::uint64_t offset = 0, length = 10;
  bool exclusive = true, waits = false, reclaim = false;
  std::string client = "a";
  std::uint32_t svid = 12;
};

class Nlm4Test : public ::testing::Test {
 protected:
  Nlm4Test() { handle_ = harness_.Handle(file_); }

  nlm4_lock LockOf(Ask& ask) {
    nlm4_lock lock{};
    lock.caller_name = ask.client.data();
    lock.fh.data.data_len = static_cast<u_int>(handle_.size());
    lock.fh.data.data_val = handle_.data();
    lock.oh = ask.owner.data();
    lock.svid = ask.svid;
    lock.l_offset = ask.offset;
    lock.l_len = ask.length;
    return lock;
  }
  nlm_cookie Cookie() {
    nlm_cookie cookie{};
    cookie.data.data_len = static_cast<u_int>(cookie_.size());
    cookie.data.data_val = cookie_.data();
    return cookie;
  }
  Bytes LockArguments(Ask ask) {
    NLM4_LOCKargs args{};
    args.cookie = Cookie();
    args.block = ask.waits;
    args.exclusive = ask.exclusive;
    args.lock = LockOf(ask);
    args.reclaim = ask.reclaim;
    args.state = 7;
    return Encode(zdr_NLM4_LOCKargs, args);
  }
  nlmstat4 StatusOf(std::uint32_t procedure, const Bytes& arguments) {
    const Reply reply = harness_.Call(Harness::kNlm, 4, procedure, arguments);
    EXPECT_EQ(reply.accept, kAccepted);
    const Decoded<NLM4_LOCKres> result(zdr_NLM4_LOCKres, reply.bytes);
    EXPECT_EQ(std::string(result->cookie.data.data_val, result->cookie.data.data_len), cookie_);
    return result->status;
  }
  nlmstat4 Lock(const Ask& ask) { return StatusOf(kLock, LockArguments(ask)); }
  nlmstat4 Unlock(Ask ask) {
    NLM4_UNLOCKargs args{};
    args.cookie = Cookie();
    args.lock = LockOf(ask);
    return StatusOf(kUnlock, Encode(zdr_NLM4_UNLOCKargs, args));
  }
  nlmstat4 Cancel(Ask ask) {
    NLM4_CANCargs args{};
    args.cookie = Cookie();
    args.block = ask.waits;
    args.exclusive = ask.exclusive;
    args.lock = LockOf(ask);
    return StatusOf(kCancel, Encode(zdr_NLM4_CANCargs, args));
  }
  Bytes TestReply(Ask ask) {
    NLM4_TESTargs args{};
    args.cookie = Cookie();
    args.exclusive = ask.exclusive;
    args.lock = LockOf(ask);
    const Reply reply = harness_.Call(Harness::kNlm, 4, kTest, Encode(zdr_NLM4_TESTargs, args));
    EXPECT_EQ(reply.accept, kAccepted);
    return reply.bytes;
  }
  // The arguments of SHARE and UNSHARE, of which libnfs has no codec: LOCK's head, and what follows.
  Bytes ShareArguments(Ask ask, std::uint32_t deny, std::uint32_t access) {
    Bytes bytes;
    const auto word = [&](std::uint32_t v) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(v >> shift & 255));
    };
    const auto opaque = [&](const auto& from) {
      word(static_cast<std::uint32_t>(from.size()));
      bytes.insert(bytes.end(), from.begin(), from.end());
      while (bytes.size() % 4 != 0) bytes.push_back(0);
    };
    opaque(cookie_);
    opaque(ask.client);
    opaque(handle_);
    opaque(ask.owner);
    word(deny);
    word(access);
    word(ask.reclaim ? 1 : 0);
    return bytes;
  }
  std::uint32_t Share(std::uint32_t procedure, const Ask& ask, std::uint32_t deny, std::uint32_t access) {
    const Reply reply = harness_.Call(Harness::kNlm, 4, procedure, ShareArguments(ask, deny, access));
    EXPECT_EQ(reply.accept, kAccepted);
    const std::size_t cookie_words = 1 + (cookie_.size() + 3) / 4;
    EXPECT_EQ(reply.bytes.size(), 4 * (cookie_words + 2)) << "cookie, status, sequence";
    return reply.Word(cookie_words);
  }

  Harness harness_;
  vfs::ObjectId file_ = harness_.volume().Make(harness_.volume().Root(), "file", FileType::kRegular);
  Bytes handle_;
  std::string cookie_ = "cook";
};

TEST_F(Nlm4Test, LocksExcludeEachOtherAndSharedOnesDoNot) {
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
  EXPECT_EQ(Lock({}), NLM4_GRANTED) << "asked again, as after a lost answer";
  EXPECT_EQ(Lock({.owner = "13@a", .svid = 13}), NLM4_DENIED);
  EXPECT_EQ(Lock({.owner = "13@a", .offset = 10, .svid = 13}), NLM4_GRANTED);
  EXPECT_EQ(Lock({.exclusive = false}), NLM4_GRANTED);
  EXPECT_EQ(Lock({.owner = "13@a", .exclusive = false, .svid = 13}), NLM4_GRANTED);
  EXPECT_EQ(Lock({}), NLM4_DENIED) << "not while another shares it";
  EXPECT_EQ(Unlock({.owner = "13@a", .length = 0, .svid = 13}), NLM4_GRANTED);
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
  EXPECT_EQ(Unlock({}), NLM4_GRANTED);
  EXPECT_EQ(Unlock({}), NLM4_GRANTED);
  EXPECT_TRUE(harness_.NothingIsLocked());
}

TEST_F(Nlm4Test, ClientsAreToldApartByNameAndByAddress) {
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
  EXPECT_EQ(Lock({.client = "b"}), NLM4_DENIED);
  harness_.from.address = "127.0.0.2";
  EXPECT_EQ(Lock({}), NLM4_DENIED);
  EXPECT_EQ(Unlock({}), NLM4_GRANTED);
  EXPECT_EQ(Lock({}), NLM4_DENIED) << "nobody gives up what another holds";
}

TEST_F(Nlm4Test, TestTellsWhoIsInTheWay) {
  EXPECT_EQ(Decoded<NLM4_TESTres>(zdr_NLM4_TESTres, TestReply({}))->reply.status, NLM4_GRANTED);
  ASSERT_EQ(Lock({.offset = 5, .length = 0}), NLM4_GRANTED);
  ASSERT_EQ(Lock({.offset = 2, .length = 2, .exclusive = false}), NLM4_GRANTED);
  EXPECT_EQ(Decoded<NLM4_TESTres>(zdr_NLM4_TESTres, TestReply({}))->reply.status, NLM4_GRANTED) << "not the own";
  const Bytes bytes = TestReply({.owner = "x", .offset = 4, .svid = 1});
  const Decoded<NLM4_TESTres> result(zdr_NLM4_TESTres, bytes);
  ASSERT_EQ(result->reply.status, NLM4_DENIED);
  const nlm4_holder& holder = result->reply.nlm4_testreply_u.lock.holder;
  EXPECT_EQ(holder.exclusive, 1u);
  EXPECT_EQ(holder.svid, 12u);
  EXPECT_STREQ(holder.oh, "12@a");
  EXPECT_EQ(holder.l_offset, 5u);
  EXPECT_EQ(holder.l_len, 0u) << "to the end";
  const Bytes other = TestReply({.owner = "x", .offset = 0, .length = 4, .svid = 1});
  const Decoded<NLM4_TESTres> shared(zdr_NLM4_TESTres, other);
  ASSERT_EQ(shared->reply.status, NLM4_DENIED);
  EXPECT_EQ(shared->reply.nlm4_testreply_u.lock.holder.exclusive, 0u);
  EXPECT_EQ(shared->reply.nlm4_testreply_u.lock.holder.l_len, 2u);
}

TEST_F(Nlm4Test, WhoWaitsIsBlockedAndMayCancel) {
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  const Ask waits{.owner = "w", .waits = true, .svid = 5};
  EXPECT_EQ(Lock(waits), NLM4_BLOCKED);
  EXPECT_EQ(Lock(waits), NLM4_BLOCKED) << "asked again";
  EXPECT_EQ(Cancel(waits), NLM4_GRANTED);
  EXPECT_EQ(Cancel(waits), NLM4_DENIED) << "nobody waits";
  EXPECT_EQ(Lock(waits), NLM4_BLOCKED);
  EXPECT_EQ(Unlock({}), NLM4_GRANTED);
  EXPECT_EQ(Lock({}), NLM4_DENIED) << "who waited has it now";
  EXPECT_EQ(Lock(waits), NLM4_GRANTED) << "and hears so when it asks before it is told";
  EXPECT_EQ(Unlock(waits), NLM4_GRANTED);
  EXPECT_TRUE(harness_.NothingIsLocked());
}

// The MSG forms: nothing is answered, and the results come as a call of their own.
TEST_F(Nlm4Test, MessagesAreAnsweredByCalls) {
  constexpr std::uint32_t kTestMsg = 6, kLockMsg = 7, kCancelMsg = 8, kUnlockMsg = 9, kGrantedMsg = 10;
  const auto send = [&](std::uint32_t procedure, const Bytes& arguments) {
    const Reply reply = harness_.Call(Harness::kNlm, 4, procedure, arguments);
    EXPECT_EQ(reply.accept, kAccepted);
    EXPECT_TRUE(reply.bytes.empty());
    EXPECT_EQ(harness_.lock_results.size(), 1u);
    const Harness::LockResult result = harness_.lock_results.at(0);
    harness_.lock_results.clear();
    EXPECT_EQ(result.host, "127.0.0.1");
    EXPECT_EQ(result.procedure, procedure + 5);
    return result;
  };
  const auto status = [&](const Harness::LockResult& result) {
    const Decoded<NLM4_LOCKres> decoded(zdr_NLM4_LOCKres, result.arguments);
    EXPECT_EQ(std::string(decoded->cookie.data.data_val, decoded->cookie.data.data_len), cookie_);
    return decoded->status;
  };
  harness_.from.datagram = true;
  const Harness::LockResult first = send(kLockMsg, LockArguments({}));
  EXPECT_TRUE(first.datagram);
  EXPECT_EQ(status(first), NLM4_GRANTED);
  harness_.from.datagram = false;
  Ask other{.owner = "x", .waits = true, .svid = 3};
  const Harness::LockResult second = send(kLockMsg, LockArguments(other));
  EXPECT_FALSE(second.datagram);
  EXPECT_EQ(status(second), NLM4_BLOCKED);
  NLM4_CANCargs cancel{};
  cancel.cookie = Cookie();
  cancel.exclusive = true;
  cancel.lock = LockOf(other);
  EXPECT_EQ(status(send(kCancelMsg, Encode(zdr_NLM4_CANCargs, cancel))), NLM4_GRANTED);
  NLM4_TESTargs test{};
  test.cookie = Cookie();
  test.exclusive = true;
  test.lock = LockOf(other);
  EXPECT_EQ(
      Decoded<NLM4_TESTres>(zdr_NLM4_TESTres, send(kTestMsg, Encode(zdr_NLM4_TESTargs, test)).arguments)->reply.status,
      NLM4_DENIED);
  Ask mine;
  NLM4_UNLOCKargs unlock{};
  unlock.cookie = Cookie();
  unlock.lock = LockOf(mine);
  EXPECT_EQ(status(send(kUnlockMsg, Encode(zdr_NLM4_UNLOCKargs, unlock))), NLM4_GRANTED);
  EXPECT_TRUE(harness_.NothingIsLocked());
  // Nobody grants a server anything.
  EXPECT_EQ(status(send(kGrantedMsg, Encode(zdr_NLM4_TESTargs, test))), NLM4_DENIED);
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kLockMsg, {}).accept, kGarbageArgs);
  EXPECT_TRUE(harness_.lock_results.empty());
  for (std::uint32_t stray = 11; stray <= 14; ++stray) {
    EXPECT_EQ(harness_.Call(Harness::kNlm, 4, stray, first.arguments).accept, kAccepted);
  }
}

TEST_F(Nlm4Test, AGrantIsConfirmedByItsClientAlone) {
  constexpr std::uint32_t kLockMsg = 7, kGrantedRes = 15;
  const auto confirm = [&](std::uint64_t id, nlmstat4 status) {
    Bytes bytes = {0, 0, 0, 8};
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(id >> shift & 255));
    bytes.insert(bytes.end(), {0, 0, 0, static_cast<char>(status)});
    EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kGrantedRes, bytes).accept, kAccepted);
  };
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  (void)harness_.Call(Harness::kNlm, 4, kLockMsg, LockArguments({.owner = "x", .waits = true, .svid = 3}));
  ASSERT_EQ(Unlock({}), NLM4_GRANTED);
  ASSERT_EQ(harness_.LockGrants().size(), 1u);
  EXPECT_TRUE(harness_.LockGrants()[0].message);
  const std::uint64_t id = harness_.LockGrants()[0].id;
  harness_.from.address = "127.0.0.9";
  confirm(id, NLM4_DENIED);
  harness_.from.address = "127.0.0.1";
  confirm(id + 1000, NLM4_DENIED);
  EXPECT_EQ(Lock({}), NLM4_DENIED) << "made up: it is held";
  confirm(id, NLM4_BLOCKED);
  EXPECT_EQ(Lock({}), NLM4_DENIED) << "that is no answer";
  confirm(id, NLM4_DENIED);
  EXPECT_EQ(Lock({}), NLM4_GRANTED) << "it was not wanted any more";
  const Bytes odd = {0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 1};
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kGrantedRes, odd).accept, kAccepted);
}

TEST_F(Nlm4Test, NmLockDoesNotWait) {
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  EXPECT_EQ(StatusOf(kNmLock, LockArguments({.owner = "w", .waits = true, .svid = 5})), NLM4_DENIED);
  EXPECT_EQ(StatusOf(kNmLock, LockArguments({.owner = "w", .offset = 50, .svid = 5})), NLM4_GRANTED);
}

TEST_F(Nlm4Test, FreeAllGivesUpAllOfTheClientAndNothingElse) {
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  ASSERT_EQ(Lock({.offset = 100, .client = "b"}), NLM4_GRANTED);
  ASSERT_EQ(Share(kShare, {.owner = "s"}, 3, 3), 0u);
  const auto free_all = [&](std::string name) {
    Bytes bytes = {0, 0, 0, static_cast<char>(name.size())};
    bytes.insert(bytes.end(), name.begin(), name.end());
    bytes.resize((bytes.size() + 3) / 4 * 4 + 4);
    EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kFreeAll, bytes).accept, kAccepted);
  };
  harness_.from.address = "127.0.0.2";
  free_all("a");
  harness_.from.address = "127.0.0.1";
  EXPECT_EQ(Lock({.client = "c"}), NLM4_DENIED) << "that was another machine";
  free_all("a");
  EXPECT_EQ(Lock({.client = "c"}), NLM4_GRANTED);
  EXPECT_EQ(Lock({.offset = 100, .client = "c"}), NLM4_DENIED);
  EXPECT_EQ(Share(kShare, {.owner = "t", .client = "c"}, 3, 3), 0u);
}

TEST_F(Nlm4Test, DenyModes) {
  constexpr std::uint32_t kNone = 0, kRead = 1, kWrite = 2, kBoth = 3, kDenied = 1;
  EXPECT_EQ(Share(kShare, {.owner = "1"}, kWrite, kRead), 0u);
  EXPECT_EQ(Share(kShare, {.owner = "2"}, kNone, kWrite), kDenied) << "its access is denied";
  EXPECT_EQ(Share(kShare, {.owner = "2"}, kRead, kNone), kDenied) << "it would deny the access of the first";
  EXPECT_EQ(Share(kShare, {.owner = "2"}, kWrite, kRead), 0u);
  EXPECT_EQ(Share(kShare, {.owner = "1"}, kNone, kRead), 0u) << "its own is replaced";
  EXPECT_EQ(Share(kShare, {.owner = "3"}, kNone, kWrite), kDenied);
  EXPECT_EQ(Share(kUnshare, {.owner = "2"}, kWrite, kRead), 0u);
  EXPECT_EQ(Share(kShare, {.owner = "3"}, kNone, kBoth), 0u);
  EXPECT_EQ(Lock({}), NLM4_GRANTED) << "byte ranges are another matter";
  EXPECT_EQ(Share(kUnshare, {.owner = "1"}, kNone, kNone), 0u);
  EXPECT_EQ(Share(kUnshare, {.owner = "3"}, kNone, kNone), 0u);
  EXPECT_EQ(Unlock({}), NLM4_GRANTED);
  EXPECT_TRUE(harness_.NothingIsLocked());
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kShare, ShareArguments({}, 4, 0)).accept, kGarbageArgs);
}

TEST_F(Nlm4Test, RangesToTheVeryEnd) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  EXPECT_EQ(Lock({.offset = 0, .length = kMax}), NLM4_GRANTED);
  EXPECT_EQ(Lock({.owner = "x", .offset = kMax, .length = 1}), NLM4_GRANTED) << "the one byte that it does not cover";
  EXPECT_EQ(Lock({.offset = 1, .length = kMax}), NLM4_DENIED) << "that is to the very end";
  EXPECT_EQ(Lock({.offset = 2, .length = kMax}), NLM4_FBIG);
  EXPECT_EQ(Lock({.offset = kMax, .length = 2}), NLM4_FBIG);
  EXPECT_EQ(Unlock({.offset = kMax, .length = kMax}), NLM4_FBIG);
  EXPECT_EQ(Cancel({.offset = kMax, .length = kMax}), NLM4_FBIG);
  EXPECT_EQ(Decoded<NLM4_TESTres>(zdr_NLM4_TESTres, TestReply({.offset = 9, .length = kMax}))->reply.status, NLM4_FBIG);
}

TEST_F(Nlm4Test, WhoMayNotOpenTheFileMayNotLockIt) {
  harness_.credentials.uid = 1000;
  harness_.anonymous = false;
  harness_.volume().MutableAttributesOf(file_).mode = 0600;
  EXPECT_EQ(Lock({}), NLM4_FAILED);
  EXPECT_EQ(Share(kShare, {}, 0, 1), 9u);
  EXPECT_TRUE(harness_.NothingIsLocked());
  harness_.volume().MutableAttributesOf(file_).mode = 0604;
  EXPECT_EQ(Lock({}), NLM4_GRANTED) << "to read is enough";
}

TEST_F(Nlm4Test, HandlesThatNameNothing) {
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  const Bytes good = handle_;
  handle_[20] ^= 1;
  EXPECT_EQ(Lock({}), NLM4_STALE_FH);
  handle_ = Bytes(1024, 'x');
  EXPECT_EQ(Lock({}), NLM4_STALE_FH);
  handle_.clear();
  EXPECT_EQ(Unlock({}), NLM4_STALE_FH);
  FakeFileSystem other(77);
  handle_ = harness_.Handle(other.Root(), &other);
  EXPECT_EQ(Lock({}), NLM4_STALE_FH) << "of another volume";
  harness_.from.address = "10.1.2.3";
  handle_ = good;
  EXPECT_EQ(Lock({}), NLM4_FAILED) << "who may not mount";
  harness_.from = {.port = 2000};
  EXPECT_EQ(Lock({}), NLM4_FAILED);
}

TEST_F(Nlm4Test, LongNamesAndOwners) {
  EXPECT_EQ(Lock({.owner = std::string(1024, 'o'), .client = std::string(1024, 'n')}), NLM4_GRANTED);
  cookie_ = std::string(1024, 'c');
  EXPECT_EQ(Lock({.owner = std::string(1024, 'o'), .client = std::string(1024, 'n')}), NLM4_GRANTED);
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kLock, LockArguments({.owner = std::string(1025, 'o')})).accept,
            kGarbageArgs);
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kLock, LockArguments({.client = std::string(1025, 'n')})).accept,
            kGarbageArgs);
  cookie_ += 'c';
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kLock, LockArguments({})).accept, kGarbageArgs);
}

TEST_F(Nlm4Test, ArgumentsThatDoNotDecodeAreGarbage) {
  const Bytes whole = LockArguments({});
  for (std::size_t size = 0; size < whole.size(); size += 4) {
    EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kLock, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)})
                  .accept,
              kGarbageArgs);
  }
  Bytes longer = whole;
  longer.resize(whole.size() + 4);
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kLock, longer).accept, kGarbageArgs);
  EXPECT_TRUE(harness_.NothingIsLocked());
}

TEST_F(Nlm4Test, WaitsForTheDiskWhereItMay) {
  harness_.volume().must_wait = true;
  EXPECT_TRUE(harness_.Call(Harness::kNlm, 4, kLock, LockArguments({})).would_block);
  EXPECT_TRUE(harness_.NothingIsLocked());
  harness_.may_block = true;
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
}

TEST_F(Nlm4Test, WaitsForWhatIsElsewhereAndHoldsNoThread) {
  const auto fetch = std::make_shared<Fetch>("thing");
  harness_.volume().fetch = fetch;
  for (const bool may_block : {false, true}) {
    harness_.may_block = may_block;
    for (const std::uint32_t procedure : {kLock, kNmLock}) {
      const Reply parked = harness_.Call(Harness::kNlm, 4, procedure, LockArguments({}));
      EXPECT_TRUE(parked.would_block);
      EXPECT_TRUE(parked.bytes.empty());
      EXPECT_EQ(std::exchange(harness_.fetch, nullptr), fetch);
    }
  }
  EXPECT_TRUE(harness_.NothingIsLocked());
  harness_.late = true;
  EXPECT_NE(Lock({}), NLM4_GRANTED);
  EXPECT_TRUE(harness_.NothingIsLocked());
  EXPECT_EQ(Unlock({}), NLM4_GRANTED) << "which asks for no file";
  harness_.late = false;
  fetch->Complete({});
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
}

TEST_F(Nlm4Test, InGraceOnlyWhatWasHeldIsGranted) {
  harness_.SetGrace(true);
  EXPECT_EQ(Lock({}), NLM4_DENIED_GRACE_PERIOD);
  EXPECT_EQ(Decoded<NLM4_TESTres>(zdr_NLM4_TESTres, TestReply({}))->reply.status, NLM4_DENIED_GRACE_PERIOD);
  EXPECT_EQ(Share(kShare, {}, 0, 1), 4u);
  EXPECT_EQ(Lock({.reclaim = true}), NLM4_GRANTED);
  EXPECT_EQ(Share(kShare, {.reclaim = true}, 0, 1), 0u);
  harness_.SetGrace(false);
  EXPECT_EQ(Lock({.owner = "x"}), NLM4_DENIED);
  EXPECT_EQ(Lock({.owner = "x", .offset = 100, .reclaim = true}), NLM4_DENIED_GRACE_PERIOD);
}

TEST_F(Nlm4Test, AFileThatIsGoneLosesItsLocks) {
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  vfs::Mutation mutation;
  ASSERT_TRUE(harness_.volume().Remove({}, harness_.volume().Root(), "file", mutation));
  EXPECT_EQ(Lock({.owner = "x"}), NLM4_STALE_FH);
  EXPECT_TRUE(harness_.NothingIsLocked());
  EXPECT_EQ(Unlock({}), NLM4_GRANTED) << "the client closes it";
}

// -- Clients that are told of a restart. --

using Told = std::vector<std::string>;

TEST_F(Nlm4Test, WhoIsNotKnownBecomesSoBeforeItHasALock) {
  harness_.clients_known = false;
  EXPECT_TRUE(harness_.Call(Harness::kNlm, 4, kLock, LockArguments({})).would_block) << "that is written to a disk";
  EXPECT_EQ(harness_.monitored, Told{});
  EXPECT_TRUE(harness_.NothingIsLocked());
  harness_.may_block = true;
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
  EXPECT_EQ(harness_.monitored, Told{"add 127.0.0.1"});
  harness_.may_block = false;
  EXPECT_EQ(Lock({.offset = 100}), NLM4_GRANTED);
  EXPECT_EQ(harness_.monitored, Told{"add 127.0.0.1"}) << "once";
}

TEST_F(Nlm4Test, WhoCannotBecomeKnownGetsNoLock) {
  harness_.clients_known = harness_.clients_can_be_known = false;
  harness_.may_block = true;
  for (const bool waits : {false, true}) EXPECT_EQ(Lock({.waits = waits}), NLM4_DENIED_NOLOCKS);
  EXPECT_TRUE(harness_.NothingIsLocked());
  const Reply reply = harness_.Call(Harness::kNlm, 4, 7, LockArguments({}));
  EXPECT_TRUE(reply.bytes.empty());
  ASSERT_EQ(harness_.lock_results.size(), 1u);
  EXPECT_EQ(Decoded<NLM4_LOCKres>(zdr_NLM4_LOCKres, harness_.lock_results[0].arguments)->status, NLM4_DENIED_NOLOCKS);
  EXPECT_TRUE(harness_.NothingIsLocked());
  EXPECT_EQ(Unlock({}), NLM4_GRANTED) << "to give up one needs not be known";
  harness_.clients_can_be_known = true;
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
}

TEST_F(Nlm4Test, WhoIsForgottenJustBeforeItsLockIsThereBecomesKnownAgain) {
  harness_.clients_known_for = 1;
  harness_.may_block = true;
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
  EXPECT_EQ(harness_.monitored, Told{"add 127.0.0.1"});
  EXPECT_EQ(Lock({.owner = "x"}), NLM4_DENIED) << "it is held";
}

TEST_F(Nlm4Test, WhoIsForgottenAndMayNotWaitAsksAgain) {
  harness_.clients_known_for = 1;
  EXPECT_TRUE(harness_.Call(Harness::kNlm, 4, kLock, LockArguments({})).would_block);
  EXPECT_EQ(harness_.monitored, Told{});
  harness_.may_block = true;
  EXPECT_EQ(Lock({}), NLM4_GRANTED);
  EXPECT_EQ(harness_.monitored, Told{"add 127.0.0.1"});
  harness_.clients_known_for = 1;
  harness_.may_block = false;
  const Ask waits{.owner = "w", .waits = true, .svid = 5};
  EXPECT_TRUE(harness_.Call(Harness::kNlm, 4, kLock, LockArguments(waits)).would_block);
  harness_.may_block = true;
  EXPECT_EQ(Lock(waits), NLM4_BLOCKED);
  EXPECT_EQ(Cancel(waits), NLM4_GRANTED);
  EXPECT_EQ(Cancel(waits), NLM4_DENIED) << "it waits but once";
}

TEST_F(Nlm4Test, WhoIsForgottenAndCannotBecomeKnownAgainKeepsNothing) {
  harness_.clients_known_for = 1;
  harness_.clients_can_be_known = false;
  harness_.may_block = true;
  EXPECT_EQ(Lock({}), NLM4_DENIED_NOLOCKS);
  EXPECT_EQ(harness_.monitored, Told{"add 127.0.0.1"});
  EXPECT_TRUE(harness_.NothingIsLocked());
  // Nor does it go on waiting.
  harness_.clients_known = true;
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  harness_.clients_known_for = 1;
  const Ask waits{.owner = "w", .waits = true, .svid = 5};
  EXPECT_EQ(Lock(waits), NLM4_DENIED_NOLOCKS);
  EXPECT_EQ(Cancel(waits), NLM4_DENIED);
  EXPECT_EQ(Unlock({}), NLM4_GRANTED);
  EXPECT_TRUE(harness_.NothingIsLocked());
}

TEST_F(Nlm4Test, WhatIsDeniedIsNotTold) {
  ASSERT_EQ(Lock({}), NLM4_GRANTED);
  harness_.clients_known_for = 1;
  harness_.may_block = true;
  EXPECT_EQ(Lock({.owner = "x"}), NLM4_DENIED);
  EXPECT_EQ(harness_.monitored, Told{}) << "who has nothing may be forgotten";
}

TEST_F(Nlm4Test, WhatNeedsNoMonitorTellsNone) {
  harness_.clients_known = harness_.clients_can_be_known = false;
  harness_.may_block = true;
  EXPECT_EQ(StatusOf(kNmLock, LockArguments({})), NLM4_GRANTED);
  EXPECT_EQ(Share(kShare, {}, 0, 1), 0u);
  EXPECT_EQ(Decoded<NLM4_TESTres>(zdr_NLM4_TESTres, TestReply({}))->reply.status, NLM4_GRANTED);
  EXPECT_EQ(harness_.monitored, Told{});
}

TEST_F(Nlm4Test, WhatIsClaimedAgainIsReported) {
  harness_.SetGrace(true);
  harness_.from.address = "127.0.0.7";
  EXPECT_EQ(Lock({}), NLM4_DENIED_GRACE_PERIOD);
  EXPECT_EQ(harness_.monitored, Told{});
  EXPECT_EQ(Lock({.reclaim = true}), NLM4_GRANTED);
  EXPECT_EQ(harness_.monitored, Told{"reclaimed 127.0.0.7"});
  EXPECT_EQ(Lock({.owner = "x", .reclaim = true}), NLM4_DENIED) << "another says the same";
  harness_.SetGrace(false);
  EXPECT_EQ(Lock({.owner = "x", .offset = 100}), NLM4_GRANTED);
  EXPECT_EQ(Lock({.owner = "x", .offset = 200, .reclaim = true}), NLM4_DENIED_GRACE_PERIOD);
  EXPECT_EQ(harness_.monitored, Told{"reclaimed 127.0.0.7"});
}

// Procedure 16: name, state, and the 16 bytes that rpc.statd was given.
Bytes StatusNotice(const std::string& name, const std::string& cookie) {
  Bytes bytes = {0, 0, static_cast<char>(name.size() >> 8), static_cast<char>(name.size())};
  bytes.insert(bytes.end(), name.begin(), name.end());
  bytes.resize((bytes.size() + 3) / 4 * 4);
  bytes.insert(bytes.end(), {0, 0, 0, 7});
  bytes.insert(bytes.end(), cookie.begin(), cookie.end());
  return bytes;
}

std::string MappedCookie(const std::string& v4) { return std::string(10, '\0') + "\xff\xff" + v4; }

TEST_F(Nlm4Test, ThisMachinesStatusMonitorTellsWhoHasStartedAnew) {
  constexpr std::uint32_t kSmNotify = 16;
  const auto notify = [&](const Bytes& bytes) {
    const Reply reply = harness_.Call(Harness::kNlm, 4, kSmNotify, bytes);
    EXPECT_TRUE(reply.bytes.empty());
    return reply.accept;
  };
  EXPECT_EQ(notify(StatusNotice("a.example", MappedCookie("\x0a\x01\x02\x03"))), kAccepted);
  const std::string v6 = "\x20\x01\x0d\xb8" + std::string(11, '\0') + "\x05";
  EXPECT_EQ(notify(StatusNotice("", v6)), kAccepted);
  EXPECT_EQ(harness_.monitored, (Told{"restarted 10.1.2.3 a.example", "restarted 2001:db8::5 "}));
}

TEST_F(Nlm4Test, NobodyElseTellsThat) {
  constexpr std::uint32_t kSmNotify = 16;
  const Bytes notice = StatusNotice("a", MappedCookie("\x0a\x01\x02\x03"));
  for (const From& from : {From{.address = "10.1.2.3"}, From{.port = 1024}, From{.address = "10.1.2.3", .port = 2000},
                           From{.address = "::ffff:10.1.2.3"}}) {
    harness_.from = from;
    const Reply reply = harness_.Call(Harness::kNlm, 4, kSmNotify, notice);
    EXPECT_EQ(reply.accept, kAccepted) << "and hears nothing of that";
    EXPECT_TRUE(reply.bytes.empty());
  }
  EXPECT_EQ(harness_.monitored, Told{});
  harness_.from = {.address = "::1"};
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kSmNotify, notice).accept, kAccepted);
  EXPECT_EQ(harness_.monitored.size(), 1u);
}

TEST_F(Nlm4Test, SuchANoticeThatDoesNotDecodeIsGarbage) {
  constexpr std::uint32_t kSmNotify = 16;
  const std::string cookie(16, 'c');
  const Bytes whole = StatusNotice("a", cookie);
  for (std::size_t size = 0; size < whole.size(); size += 4) {
    const Bytes cut = {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
    EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kSmNotify, cut).accept, kGarbageArgs);
  }
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kSmNotify, StatusNotice("a", cookie + "more")).accept, kGarbageArgs);
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kSmNotify, StatusNotice(std::string(1025, 'n'), cookie)).accept,
            kGarbageArgs);
  EXPECT_EQ(harness_.monitored, Told{});
  EXPECT_EQ(harness_.Call(Harness::kNlm, 4, kSmNotify, StatusNotice(std::string(1024, 'n'), cookie)).accept, kAccepted);
  EXPECT_EQ(harness_.monitored.size(), 1u);
}

TEST(Nlm4Off, RefusesEachCallAtOnce) {
  Harness harness({}, false);
  EXPECT_EQ(harness.Call(Harness::kNlm, 4, 0, {}).accept, kAccepted);
  NLM4_LOCKargs args{};
  std::string name = "a";
  args.lock.caller_name = name.data();
  args.lock.oh = name.data();
  const Reply reply = harness.Call(Harness::kNlm, 4, kLock, Encode(zdr_NLM4_LOCKargs, args));
  const Decoded<NLM4_LOCKres> result(zdr_NLM4_LOCKres, reply.bytes);
  EXPECT_EQ(result->status, NLM4_DENIED_NOLOCKS);
  EXPECT_EQ(harness.Call(Harness::kNlm, 4, 16, StatusNotice("a", std::string(16, 'c'))).accept, kAccepted);
}

}  // namespace
}  // namespace strata::testing
