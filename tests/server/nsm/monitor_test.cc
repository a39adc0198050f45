// Who is told of a start, how long nothing new is granted then, and who is forgotten. Clients' status monitors are
// played by a server of the test.
#include "server/nsm/monitor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/rpc/dispatcher.h"
#include "server/rpc/transport.h"
#include "tests/base/temp_folder.h"
#include "tests/server/nsm/status_monitor.h"

namespace strata::nsm {
namespace {

using nlm4::Answer;
using nlm4::FileKey;
using std::chrono::milliseconds;
using testing::StatusMonitor;
using Clock = std::chrono::steady_clock;

constexpr FileKey kLocked{1, InodeNumber(10), Generation(1)};
// That nobody waits for in these tests.
constexpr milliseconds kNever{3'600'000};
constexpr MonitorTimes kNothingEnds{
    .grace = kNever, .telling = kNever, .quiet = kNever, .first = kNever, .absent = kNever, .sweep = kNever};

boost::asio::ip::address Machine(const std::string& text) { return boost::asio::ip::make_address(text); }

rpc::Peer PeerAt(const std::string& machine, const std::string& local = "127.0.0.1") {
  rpc::Peer peer;
  peer.address = Machine(machine);
  peer.local = Machine(local);
  return peer;
}

std::string Here() {
  std::array<char, 256> name{};
  EXPECT_EQ(::gethostname(name.data(), name.size() - 1), 0);
  return name.data();
}

bool Becomes(const std::function<bool()>& holds) {
  const auto end = Clock::now() + testing::kPatience;
  while (!holds() && Clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
  return holds();
}

// This machine's rpc.statd: it keeps what it is asked, and answers once it may.
class Statd final : public rpc::Program {
 public:
  Statd() {
    for (const std::uint32_t number : {kMon, kUnmon}) {
      table_[number].number = number;
      table_[number].name = "watch";
      table_[number].always_blocks = true;
      table_[number].cached = true;  // datagrams are sent again
      table_[number].handler = [](rpc::Program& program, const rpc::Call& call, rpc::XdrReader& in,
                                  rpc::ReplyBuffer& reply) {
        return static_cast<Statd&>(program).Keep(call, in, reply);
      };
    }
  }
  std::uint32_t number() const override { return kNsmProgram; }
  std::string_view name() const override { return "statd"; }
  std::uint32_t low_version() const override { return 1; }
  std::uint32_t high_version() const override { return 1; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t) const override { return table_; }

  // Such as "mon 192.0.2.7", in the order of their coming.
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  std::string cookie() {
    const std::lock_guard lock(mutex_);
    return cookie_;
  }
  std::atomic<std::uint32_t> answer{0};  // stat_succ
  std::atomic<bool> holds{false};        // no answer is given meanwhile

 private:
  rpc::Outcome Keep(const rpc::Call& call, rpc::XdrReader& in, rpc::ReplyBuffer& reply) {
    const std::string name(in.Text(kMaxName));
    EXPECT_FALSE(in.Text(kMaxName).empty());
    EXPECT_EQ(in.U32(), 100021u);
    EXPECT_EQ(in.U32(), 4u);
    EXPECT_EQ(in.U32(), 16u);
    std::string cookie;
    if (call.procedure == kMon) cookie = AsText(in.Fixed(kPrivateBytes));
    EXPECT_TRUE(in.Finished());
    EXPECT_EQ(call.peer->address, Machine("127.0.0.1")) << "rpc.statd answers nobody else";
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back((call.procedure == kMon ? "mon " : "unmon ") + name);
      if (call.procedure == kMon) cookie_ = cookie;
    }
    const auto end = Clock::now() + testing::kPatience;
    while (holds && Clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
    if (call.procedure == kMon) reply.U32(answer);
    reply.U32(7);  // its state
    return {};
  }

  std::array<rpc::Procedure, kNotify + 1> table_{};
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::string cookie_;
};

// A server that starts where clients had locks.
class Restarted {
 public:
  // What port 111 of a client tells.
  enum class Found : std::uint8_t { kThere, kNobody, kUnregistered, kSilent, kAnotherProgram };

  Restarted(const std::vector<std::string>& had, const MonitorTimes& times, bool recovers = true,
            std::vector<Found> found = {Found::kThere}, bool uses_statd = false)
      : found_(std::move(found)) {
    port_ = transport_->ListenUdp("127.0.0.1", 0, dispatcher_).value();
    statd_port_ = transport_->ListenUdp("127.0.0.1", 0, statd_dispatcher_).value();
    deaf_port_ = transport_->ListenUdp("127.0.0.1", 0, nothing_).value();
    KeptClients kept{.state = 7, .clients = {}};
    for (const std::string& client : had) kept.clients.push_back({Machine(client), Machine("127.0.0.1")});
    EXPECT_TRUE(ReplaceFile(Env::System(), path, FormatClients(kept)));
    clients.emplace(Env::System(), path, false);
    monitor.emplace(
        calls,
        [this](rpc::Client&, const rpc::Address& host, std::uint32_t program, std::uint32_t version, auto done) {
          done(Locate(host, program, version));
        },
        locks, *clients, uses_statd, recovers, times);
  }
  ~Restarted() {
    calls.Stop();
    transport_->Stop();
  }
  Restarted(const Restarted&) = delete;
  Restarted& operator=(const Restarted&) = delete;

  // Which of `found` comes next; the last one again and again.
  int looked() const { return looked_.load(); }
  // Waits until all that was to be done on the thread until now is done.
  void Settle() {
    std::promise<void> done;
    calls.Run([&] { done.set_value(); });
    EXPECT_EQ(done.get_future().wait_for(testing::kPatience), std::future_status::ready);
  }
  bool RecoversInTime() {
    return Becomes([&] { return !monitor->recovering(); }) && !locks.grace();
  }
  Answer Lock(const std::string& name, bool reclaim = false, const std::string& machine = "127.0.0.1",
              nlm4::Range range = {0, 9}) {
    return locks.Lock(kLocked, {.name = name, .address = Machine(machine), .svid = 1, .owner = AsBytes("o")}, range,
                      true, reclaim, nullptr);
  }
  void Unlock(const std::string& name, const std::string& machine = "127.0.0.1") {
    locks.Unlock(kLocked, {.name = name, .address = Machine(machine), .svid = 1, .owner = AsBytes("o")}, {});
  }
  std::vector<std::string> Known() const {
    std::vector<std::string> all;
    for (const MonitoredClient& one : clients->All()) all.push_back(one.client.to_string());
    std::ranges::sort(all);
    return all;
  }
  std::vector<std::string> OnDisk() const {
    std::vector<std::string> all;
    for (const MonitoredClient& one : MonitoredClients(Env::System(), path, true).All())
      all.push_back(one.client.to_string());
    std::ranges::sort(all);
    return all;
  }

  const TempFolder folder;
  const std::string path = folder / "lock-clients.json";
  StatusMonitor status_monitor;
  Statd statd;
  std::atomic<bool> statd_runs{false};  // on this machine, and nobody else at 127.0.0.1
  rpc::CallThread calls;
  nlm4::LockTable locks{{}, [] { return std::int64_t{0}; }, [](const std::vector<nlm4::Grant>&) {}};
  std::optional<MonitoredClients> clients;
  std::optional<Monitor> monitor;

 private:
  Result<rpc::Address> Locate(const rpc::Address& host, std::uint32_t program, std::uint32_t version) {
    EXPECT_EQ(program, kNsmProgram);
    EXPECT_EQ(version, kNsmVersion);
    EXPECT_EQ(host.transport, rpc::Address::Transport::kUdp);
    if (host.host == Machine("127.0.0.1") && statd_runs) {
      rpc::Address statd_at = host;
      statd_at.port = statd_port_;
      return statd_at;
    }
    const auto at = static_cast<std::size_t>(looked_.fetch_add(1));
    rpc::Address to = host;
    to.host = Machine("127.0.0.1");
    switch (found_[std::min(at, found_.size() - 1)]) {
      case Found::kThere:
        to.port = port_;
        return to;
      case Found::kNobody:
        return Fail(Errc::kNotFound, "connection refused");
      case Found::kUnregistered:
        return Fail(Errc::kNotSupported, "no such program");
      case Found::kSilent:
        return Fail(Errc::kIo, "no answer in time");
      case Found::kAnotherProgram:
        to.port = deaf_port_;
        return to;
    }
    return Fail(Errc::kInvalid, "");
  }

  const rpc::Dispatcher dispatcher_{{&status_monitor}};
  const rpc::Dispatcher statd_dispatcher_{{&statd}};
  const rpc::Dispatcher nothing_{{}};
  const std::unique_ptr<rpc::Transport> transport_ = rpc::Transport::Create({.io_threads = 1, .worker_threads = 1});
  const std::vector<Found> found_;
  std::uint16_t port_ = 0, deaf_port_ = 0, statd_port_ = 0;
  std::atomic<int> looked_{0};
};

using Found = Restarted::Found;

// -- Who is told. --

TEST(NsmMonitor, TellsClientsOfTheStartFromTheAddressThatTheyKnow) {
  Restarted server({}, kNothingEnds);
  ASSERT_TRUE(server.clients->Add({Machine("127.0.0.1"), Machine("127.0.0.2")}));
  Monitor monitor(
      server.calls,
      [&](rpc::Client&, const rpc::Address& host, std::uint32_t, std::uint32_t, auto done) {
        EXPECT_EQ(host.host, Machine("127.0.0.1"));
        EXPECT_EQ(host.from, Machine("127.0.0.2"));
        done(Fail(Errc::kIo));
      },
      server.locks, *server.clients, false, true, kNothingEnds);
  monitor.Begin();
  server.Settle();
  server.calls.Stop();
}

TEST(NsmMonitor, TheNoticeBearsTheNameAndTheState) {
  Restarted server({"127.0.0.1"}, kNothingEnds);
  server.monitor->Begin();
  const StatusMonitor::Notice notice = server.status_monitor.Await(1);
  EXPECT_EQ(notice.name, Here());
  EXPECT_EQ(notice.state, server.clients->state());
  EXPECT_EQ(notice.from.address, Machine("127.0.0.1"));
  EXPECT_TRUE(notice.from.datagram);
  if (::geteuid() == 0) {
    EXPECT_LT(notice.from.port, 1024);
  }
}

TEST(NsmMonitor, EachIsToldOnce) {
  Restarted server({"127.0.0.1", "127.0.0.2", "127.0.0.3"}, kNothingEnds);
  server.monitor->Begin();
  ASSERT_TRUE(server.status_monitor.Await(3).state != 0);
  server.Settle();
  EXPECT_EQ(server.looked(), 3);
}

TEST(NsmMonitor, WhoCannotBeToldIsToldLater) {
  MonitorTimes times = kNothingEnds;
  times.first = milliseconds(1);
  for (const Found first : {Found::kNobody, Found::kUnregistered, Found::kSilent, Found::kAnotherProgram}) {
    Restarted server({"127.0.0.1"}, times, true, {first, Found::kThere});
    server.monitor->Begin();
    ASSERT_TRUE(Becomes([&] { return server.looked() == 1; }));
    EXPECT_TRUE(server.monitor->recovering());
    EXPECT_EQ(server.status_monitor.Await(1).state, server.clients->state());
    EXPECT_EQ(server.looked(), 2);
    EXPECT_TRUE(server.RecoversInTime());
  }
}

// -- The time of grace. --

TEST(NsmMonitor, WithoutClientsThereIsNoGrace) {
  Restarted server({}, kNothingEnds);
  EXPECT_FALSE(server.monitor->recovering());
  EXPECT_FALSE(server.locks.grace());
  server.monitor->Begin();
  EXPECT_EQ(server.Lock("a"), Answer::kGranted);
  server.Settle();
  EXPECT_EQ(server.looked(), 0);
}

TEST(NsmMonitor, WhereNoLocksAreLostNobodyIsToldAndThereIsNoGrace) {
  Restarted server({"127.0.0.1"}, kNothingEnds, false);
  EXPECT_FALSE(server.monitor->recovering());
  EXPECT_FALSE(server.locks.grace());
  server.monitor->Begin();
  server.Settle();
  EXPECT_EQ(server.looked(), 0);
  EXPECT_EQ(server.Known(), std::vector<std::string>{"127.0.0.1"});
}

TEST(NsmMonitor, NothingNewIsGrantedFromTheFirstUntilAllHaveClaimed) {
  MonitorTimes times = kNothingEnds;
  times.quiet = milliseconds(20);
  Restarted server({"127.0.0.1", "127.0.0.2"}, times);
  EXPECT_TRUE(server.monitor->recovering()) << "before calls are answered";
  EXPECT_EQ(server.Lock("new"), Answer::kGrace);
  server.monitor->Begin();
  ASSERT_NE(server.status_monitor.Await(2).state, 0u);
  EXPECT_EQ(server.Lock("new"), Answer::kGrace);
  EXPECT_EQ(server.Lock("old", true), Answer::kGranted);
  server.monitor->Reclaimed(Machine("127.0.0.1"));
  server.monitor->Reclaimed(Machine("127.0.0.77"));  // which is nobody that was told
  std::this_thread::sleep_for(2 * times.quiet);
  server.Settle();
  EXPECT_TRUE(server.monitor->recovering()) << "the other may still claim";
  EXPECT_EQ(server.Lock("new", false, "127.0.0.1", {50, 59}), Answer::kGrace);
  server.monitor->Reclaimed(Machine("127.0.0.2"));
  EXPECT_TRUE(server.RecoversInTime());
  EXPECT_EQ(server.Lock("new"), Answer::kDenied) << "what was claimed is held";
  EXPECT_EQ(server.Lock("new", false, "127.0.0.1", {50, 59}), Answer::kGranted);
  EXPECT_EQ(server.Lock("late", true, "127.0.0.1", {90, 99}), Answer::kGrace) << "nothing is claimed any more";
}

TEST(NsmMonitor, WhoClaimsNothingHoldsNobodyUpForLong) {
  MonitorTimes times = kNothingEnds;
  times.first = milliseconds(30);
  Restarted server({"127.0.0.1"}, times);
  const auto start = Clock::now();
  server.monitor->Begin();
  EXPECT_TRUE(server.RecoversInTime());
  EXPECT_GE(Clock::now() - start, times.first);
  EXPECT_EQ(server.status_monitor.count(), 1u);
}

// Each claim counts from its own time. Whether the second came before the end is certain only where all went quickly.
TEST(NsmMonitor, EachClaimMakesItLonger) {
  MonitorTimes times = kNothingEnds;
  times.quiet = milliseconds(300);
  const auto end = Clock::now() + testing::kPatience;
  bool certain = false;
  while (!certain && Clock::now() < end) {
    Restarted server({"127.0.0.1"}, times);
    server.monitor->Begin();
    ASSERT_NE(server.status_monitor.Await(1).state, 0u);
    const auto first = Clock::now();
    server.monitor->Reclaimed(Machine("127.0.0.1"));
    std::this_thread::sleep_for(times.quiet / 2);
    const auto second = Clock::now();
    server.monitor->Reclaimed(Machine("127.0.0.1"));
    server.Settle();
    certain = Clock::now() < first + times.quiet;
    EXPECT_TRUE(server.RecoversInTime());
    if (certain) {
      EXPECT_GE(Clock::now() - second, times.quiet);
    }
  }
  EXPECT_TRUE(certain);
}

TEST(NsmMonitor, NobodyIsWaitedForWhereNobodyIs) {
  MonitorTimes times = kNothingEnds;
  times.absent = milliseconds(0);
  for (const Found found : {Found::kNobody, Found::kUnregistered}) {
    Restarted server({"127.0.0.1", "127.0.0.2"}, times, true, {found});
    server.monitor->Begin();
    EXPECT_TRUE(server.RecoversInTime());
    EXPECT_EQ(server.looked(), 2);
    EXPECT_EQ(server.status_monitor.count(), 0u);
  }
}

TEST(NsmMonitor, ThatNobodyIsThereMustHaveBeenSoForAWhile) {
  MonitorTimes times = kNothingEnds;
  times.absent = milliseconds(1);
  Restarted server({"127.0.0.1"}, times, true, {Found::kNobody});
  server.monitor->Begin();
  EXPECT_TRUE(server.RecoversInTime());
  EXPECT_EQ(server.looked(), 2) << "it is looked at twice at least";
}

TEST(NsmMonitor, WhoWasThereInBetweenWasNotAbsentAllTheTime) {
  MonitorTimes times = kNothingEnds;
  times.absent = milliseconds(600);  // more than the first pause, less than the first two
  times.quiet = milliseconds(1);     // how often it is looked at
  Restarted server({"127.0.0.1"}, times, true, {Found::kNobody, Found::kSilent, Found::kNobody, Found::kThere});
  server.monitor->Begin();
  ASSERT_TRUE(Becomes([&] { return server.looked() == 3; }));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE(server.monitor->recovering());
}

TEST(NsmMonitor, WhoIsSilentHoldsUpUntilTheGraceIsOverAndIsToldAllTheSame) {
  MonitorTimes times = kNothingEnds;
  times.grace = milliseconds(30);
  times.quiet = milliseconds(1);
  times.absent = milliseconds(0);
  Restarted server({"127.0.0.1"}, times, true, {Found::kSilent, Found::kThere});
  const auto start = Clock::now();
  server.monitor->Begin();
  EXPECT_TRUE(server.RecoversInTime());
  EXPECT_GE(Clock::now() - start + milliseconds(1), times.grace - milliseconds(20)) << "it began before this did";
  EXPECT_EQ(server.Lock("new"), Answer::kGranted);
  EXPECT_EQ(server.status_monitor.Await(1).state, server.clients->state());
}

TEST(NsmMonitor, ItIsNotTriedForEver) {
  MonitorTimes times = kNothingEnds;
  times.telling = milliseconds(1);
  Restarted server({"127.0.0.1"}, times, true, {Found::kSilent});
  std::this_thread::sleep_for(times.telling);
  server.monitor->Begin();
  EXPECT_TRUE(server.RecoversInTime()) << "there is nobody left to wait for";
  EXPECT_EQ(server.looked(), 1);
}

// -- Who is known. --

TEST(NsmMonitor, WhoIsNoMachineNeedNotBeKnown) {
  Restarted server({"127.0.0.1"}, kNothingEnds);
  rpc::Peer local = PeerAt("127.0.0.9");
  local.local_socket = true;
  EXPECT_TRUE(server.monitor->Has(local));
  EXPECT_TRUE(server.monitor->Has(rpc::Peer()));
  EXPECT_TRUE(server.monitor->Has(PeerAt("127.0.0.1")));
  EXPECT_FALSE(server.monitor->Has(PeerAt("127.0.0.2")));
  EXPECT_FALSE(server.monitor->Has(PeerAt("::1")));
}

TEST(NsmMonitor, WhoIsAddedIsKeptWithTheAddressThatItCalled) {
  Restarted server({}, kNothingEnds);
  ASSERT_TRUE(server.monitor->Add(PeerAt("192.0.2.7", "192.0.2.1")));
  EXPECT_TRUE(server.monitor->Has(PeerAt("192.0.2.7", "192.0.2.2")));
  EXPECT_EQ(server.clients->All(), (std::vector<MonitoredClient>{{Machine("192.0.2.7"), Machine("192.0.2.1")}}));
  EXPECT_EQ(server.OnDisk(), std::vector<std::string>{"192.0.2.7"});
}

TEST(NsmMonitor, WhoHoldsNothingIsForgottenAfterAWhile) {
  MonitorTimes times = kNothingEnds;
  times.sweep = milliseconds(3);
  Restarted server({"127.0.0.1", "127.0.0.2"}, times, false);
  ASSERT_EQ(server.Lock("a"), Answer::kGranted);
  server.monitor->Begin();
  EXPECT_TRUE(Becomes([&] { return server.Known() == std::vector<std::string>{"127.0.0.1"}; }));
  EXPECT_TRUE(Becomes([&] { return server.OnDisk() == std::vector<std::string>{"127.0.0.1"}; }));
  std::this_thread::sleep_for(3 * times.sweep);
  server.Settle();
  EXPECT_EQ(server.Known(), std::vector<std::string>{"127.0.0.1"}) << "it holds a lock";
  server.Unlock("a");
  EXPECT_TRUE(Becomes([&] { return server.Known().empty(); }));
  // The next who comes begins it anew.
  ASSERT_TRUE(server.monitor->Add(PeerAt("127.0.0.3")));
  EXPECT_TRUE(Becomes([&] { return server.Known().empty(); }));
  EXPECT_TRUE(Becomes([&] { return server.OnDisk().empty(); }));
}

TEST(NsmMonitor, WhoMayStillClaimIsNotForgotten) {
  MonitorTimes times = kNothingEnds;
  times.sweep = milliseconds(3);
  times.quiet = milliseconds(20);
  Restarted server({"127.0.0.1"}, times);
  server.monitor->Begin();
  ASSERT_NE(server.status_monitor.Await(1).state, 0u);
  std::this_thread::sleep_for(3 * times.sweep);
  server.Settle();
  EXPECT_EQ(server.Known(), std::vector<std::string>{"127.0.0.1"}) << "told, and not heard of yet";
  server.monitor->Reclaimed(Machine("127.0.0.1"));
  EXPECT_TRUE(server.RecoversInTime());
  EXPECT_TRUE(Becomes([&] { return server.Known().empty(); })) << "it gave up again what it had claimed";
}

TEST(NsmMonitor, WhoIsNotToldYetIsNotForgottenEvenAfterTheGrace) {
  MonitorTimes times = kNothingEnds;
  times.sweep = milliseconds(3);
  times.grace = times.quiet = milliseconds(1);
  Restarted server({"127.0.0.1"}, times, true, {Found::kSilent});
  server.monitor->Begin();
  ASSERT_TRUE(server.RecoversInTime());
  std::this_thread::sleep_for(3 * times.sweep);
  server.Settle();
  EXPECT_EQ(server.Known(), std::vector<std::string>{"127.0.0.1"});
  server.calls.Stop();
  server.monitor->End();
  EXPECT_EQ(server.OnDisk(), std::vector<std::string>{"127.0.0.1"}) << "the next start tells it";
}

TEST(NsmMonitor, TheEndWritesWhoHasLocks) {
  Restarted server({"127.0.0.1", "127.0.0.2"}, kNothingEnds, false);
  server.monitor->Begin();
  ASSERT_TRUE(server.monitor->Add(PeerAt("127.0.0.3")));
  ASSERT_EQ(server.Lock("a", false, "127.0.0.2"), Answer::kGranted);
  server.calls.Stop();
  server.monitor->End();
  EXPECT_EQ(server.Known(), std::vector<std::string>{"127.0.0.2"});
  EXPECT_EQ(server.OnDisk(), std::vector<std::string>{"127.0.0.2"});
}

TEST(NsmMonitor, AnEndAmidTheGraceForgetsNobody) {
  Restarted server({"127.0.0.1", "127.0.0.2"}, kNothingEnds);
  server.monitor->Begin();
  ASSERT_NE(server.status_monitor.Await(2).state, 0u);
  server.calls.Stop();
  server.monitor->End();
  EXPECT_EQ(server.OnDisk(), (std::vector<std::string>{"127.0.0.1", "127.0.0.2"}));
}

TEST(NsmMonitor, AnEndBeforeItBeganForgetsNobody) {
  Restarted server({"127.0.0.1"}, kNothingEnds);
  server.calls.Stop();
  server.monitor->End();
  EXPECT_EQ(server.OnDisk(), std::vector<std::string>{"127.0.0.1"});
}

// -- Whom this machine's rpc.statd watches. --

using Asked = std::vector<std::string>;

TEST(NsmMonitor, StatdWatchesWhoIsKnownAndNobodyElse) {
  MonitorTimes times = kNothingEnds;
  times.sweep = milliseconds(3);
  Restarted server({}, times, false, {Found::kNobody}, true);
  server.statd_runs = true;
  ASSERT_EQ(server.Lock("a", false, "192.0.2.7"), Answer::kGranted);
  ASSERT_TRUE(server.monitor->Add(PeerAt("192.0.2.7", "192.0.2.1")));
  ASSERT_TRUE(Becomes([&] { return !server.statd.asked().empty(); }));
  EXPECT_EQ(server.statd.cookie(), std::string(10, '\0') + "\xff\xff\xc0" + std::string(1, '\0') + "\x02\x07");
  std::this_thread::sleep_for(5 * times.sweep);
  server.Settle();
  EXPECT_EQ(server.statd.asked(), Asked{"mon 192.0.2.7"}) << "once";
  server.Unlock("a", "192.0.2.7");
  ASSERT_TRUE(Becomes([&] { return server.statd.asked().size() >= 2; }));
  EXPECT_EQ(server.statd.asked(), (Asked{"mon 192.0.2.7", "unmon 192.0.2.7"}));
}

TEST(NsmMonitor, StatdWatchesThoseOfBefore) {
  Restarted server({"2001:db8::7"}, kNothingEnds, false, {Found::kNobody}, true);
  server.statd_runs = true;
  server.monitor->Begin();
  ASSERT_TRUE(Becomes([&] { return !server.statd.asked().empty(); }));
  EXPECT_EQ(server.statd.asked(), Asked{"mon 2001:db8::7"});
  EXPECT_EQ(server.statd.cookie(), "\x20\x01\x0d\xb8" + std::string(11, '\0') + "\x07");
}

TEST(NsmMonitor, StatdNeedNotWatchThisMachine) {
  Restarted server({}, kNothingEnds, false, {Found::kNobody}, true);
  server.statd_runs = true;
  ASSERT_TRUE(server.monitor->Add(PeerAt("127.0.0.1")));
  ASSERT_TRUE(server.monitor->Add(PeerAt("::1", "::1")));
  ASSERT_TRUE(server.monitor->Add(PeerAt("192.0.2.1", "192.0.2.1")));
  ASSERT_TRUE(server.monitor->Add(PeerAt("192.0.2.7", "192.0.2.1")));
  ASSERT_TRUE(Becomes([&] { return !server.statd.asked().empty(); }));
  EXPECT_EQ(server.statd.asked(), Asked{"mon 192.0.2.7"});
}

TEST(NsmMonitor, StatdIsAskedAgainWhereItRefusedOrDidNotRun) {
  MonitorTimes times = kNothingEnds;
  times.sweep = milliseconds(3);
  Restarted server({}, times, false, {Found::kNobody}, true);
  server.statd.answer = 1;
  ASSERT_EQ(server.Lock("a", false, "192.0.2.7"), Answer::kGranted);
  ASSERT_TRUE(server.monitor->Add(PeerAt("192.0.2.7", "192.0.2.1")));
  ASSERT_TRUE(Becomes([&] { return server.looked() >= 2; }));
  EXPECT_EQ(server.statd.asked(), Asked{});
  server.statd_runs = true;
  ASSERT_TRUE(Becomes([&] { return server.statd.asked().size() >= 2; }));
  EXPECT_EQ(server.statd.asked()[1], "mon 192.0.2.7");
}

// It may take long to answer, since it asks the domain name system first.
TEST(NsmMonitor, StatdIsNotAskedTwiceAtATime) {
  MonitorTimes times = kNothingEnds;
  times.sweep = milliseconds(3);
  Restarted server({}, times, false, {Found::kNobody}, true);
  server.statd_runs = true;
  server.statd.holds = true;
  for (const std::string machine : {"192.0.2.7", "192.0.2.8", "192.0.2.9"}) {
    ASSERT_EQ(
        server.locks.Share(kLocked, {.name = "a", .address = Machine(machine), .svid = 1, .owner = {}}, 1, 0, false),
        Answer::kGranted);
    ASSERT_TRUE(server.monitor->Add(PeerAt(machine, "192.0.2.1")));
  }
  std::this_thread::sleep_for(5 * times.sweep);
  server.Settle();
  server.statd.holds = false;
  ASSERT_TRUE(Becomes([&] { return server.statd.asked().size() >= 3; }));
  std::this_thread::sleep_for(5 * times.sweep);
  server.Settle();
  Asked asked = server.statd.asked();
  std::ranges::sort(asked);
  EXPECT_EQ(asked, (Asked{"mon 192.0.2.7", "mon 192.0.2.8", "mon 192.0.2.9"}));
}

TEST(NsmMonitor, StatdIsLeftAloneWhereItIsNotUsed) {
  Restarted server({}, kNothingEnds, false, {Found::kNobody}, false);
  server.statd_runs = true;
  ASSERT_TRUE(server.monitor->Add(PeerAt("192.0.2.7", "192.0.2.1")));
  server.monitor->Begin();
  server.Settle();
  EXPECT_EQ(server.looked(), 0);
  EXPECT_EQ(server.statd.asked(), Asked{});
}

// -- Who has started anew. --

TEST(NsmMonitor, AMachineThatStartsAnewGivesUpItsLocksOnceForEachState) {
  Restarted server({"127.0.0.1", "127.0.0.2"}, kNothingEnds, false);
  ASSERT_EQ(server.Lock("a"), Answer::kGranted);
  ASSERT_EQ(server.Lock("b", false, "127.0.0.2", {50, 59}), Answer::kGranted);
  server.monitor->Notified(Machine("127.0.0.1"), "a.example", 5);
  EXPECT_EQ(server.Lock("c", false, "127.0.0.3"), Answer::kGranted);
  EXPECT_EQ(server.Lock("c", false, "127.0.0.3", {50, 59}), Answer::kDenied) << "the other machine's";
  server.Unlock("c", "127.0.0.3");
  ASSERT_EQ(server.Lock("a"), Answer::kGranted);
  server.monitor->Notified(Machine("127.0.0.1"), "a.example", 5);
  EXPECT_EQ(server.Lock("c", false, "127.0.0.3"), Answer::kDenied) << "it was told twice, as datagrams are";
  server.monitor->Notified(Machine("127.0.0.1"), "a.example", 7);
  EXPECT_EQ(server.Lock("c", false, "127.0.0.3"), Answer::kGranted);
}

TEST(NsmMonitor, NoticesOfWhoIsNotKnownAreNothing) {
  Restarted server({"127.0.0.1"}, kNothingEnds, false);
  ASSERT_EQ(server.Lock("a", false, "127.0.0.2"), Answer::kGranted) << "it asked for no monitor";
  server.monitor->Notified(Machine("127.0.0.2"), "a", 5);
  EXPECT_EQ(server.Lock("c", false, "127.0.0.3"), Answer::kDenied);
  ASSERT_TRUE(server.monitor->Add(PeerAt("127.0.0.2")));
  server.monitor->Notified(Machine("127.0.0.2"), "a", 5);
  EXPECT_EQ(server.Lock("c", false, "127.0.0.3"), Answer::kGranted) << "what came before it was known does not count";
}

TEST(NsmMonitor, WhatThisMachinesMonitorSaysIsDoneEachTime) {
  Restarted server({}, kNothingEnds, false);
  for (int times = 0; times < 2; ++times) {
    ASSERT_EQ(server.Lock("a"), Answer::kGranted);
    server.monitor->Restarted(Machine("127.0.0.1"), "a");
    EXPECT_TRUE(server.locks.empty());
  }
}

}  // namespace
}  // namespace strata::nsm
