// Clients that change a served tree in every way, keep a log of what was answered, and after a crash of the server read
// everything back: nothing that was promised may be missing, torn, stale or there twice (spec
// nfsv3 1.6, 3.1, 6.2, 6.3).
//
// All connections share one set of objects; any of them may send an object's next change. What was sent and not
// answered when the server died is sent again over a new connection with the same xid, as a client does, and must get
// the answer that the first one would have got.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/crash/history.h"
#include "tests/e2e/raw_client.h"

namespace strata::crash {

// A non-idempotent call that was executed, not answered, and came again after the death of the process gets the first
// answer. False leaves such calls unrepeated.
inline constexpr bool kAnswersSurvive = true;

struct LoadOptions {
  std::uint64_t seed = 0;
  bool relaxed = false;  // what an answered change of the name space promises
  bool power = false;    // power cuts are to come: what is not on disk yet is remembered over kills of the process
  int clients = 4, depth = 8;    // connections, and calls in flight on each
  std::size_t population = 150;  // about so many objects
  bool may_fill = false;         // the disk may be full: what is refused with NFS3ERR_NOSPC has not happened
  std::string others = {};       // names in the root that begin so are somebody else's; empty: none are
  // Told of each answer, with when its call was sent and when the answer was noticed (of Now()).
  std::function<void(const std::string& what, double sent, double answered)> on_answer = {};
};

struct Figures {
  std::uint64_t acknowledged = 0;      // changes answered
  std::uint64_t records = 0;           // objects compared
  std::uint64_t blocks = 0;            // blocks of 4 KiB compared
  std::uint64_t repeated = 0;          // calls sent again and answered
  std::uint64_t repeated_done = 0;     // of these, non-idempotent ones that had been executed before the crash
  std::uint64_t lost_unpromised = 0;   // changes lost that nobody had promised to keep
  std::uint64_t refused = 0;           // for want of space
  std::uint64_t refused_removals = 0;  // of these, what would have freed some
};

// A folder for the server to lay beneath, with files that the load writes to. Everything in it says what it is.
void FillLayer(const std::string& folder, std::uint64_t seed);

class Load {
 public:
  enum class Outcome : std::uint8_t { kGood, kWrong, kInterrupted };

  explicit Load(const LoadOptions& options);
  ~Load();
  // Connects to a server that began a new life, at most `limit` seconds long.
  bool Connect(const std::string& host, std::uint16_t port, double limit);
  // Before the first Run: makes the folders of the upper, finds those of the layer.
  bool Prepare();
  // Changes the tree until `until` (of Now()), or until `enough` says so. kInterrupted: the connection ended.
  // `stable`: also ask for FILE_SYNC, DATA_SYNC and COMMIT.
  Outcome Run(double until, bool stable, const std::function<bool()>& enough = {});
  // Waits for the answers that are still to come.
  Outcome Finish();
  // Forgets what came and was not taken in.
  void Disconnect();
  // After Connect: reads everything that was changed (`full`: everything) and compares. kInterrupted: the connection
  // ended; connect and verify again. `crashed`: when (of Now()) the server died.
  Outcome Verify(Crash crash, double crashed, bool full);
  // After Verify: sends what was not answered before the crash once more.
  Outcome SendAgain();

  bool connected() const { return !clients_.empty(); }
  const Figures& figures() const { return figures_; }
  // The sum of the files' sizes.
  std::uint64_t living_bytes() const;
  // What was wrong, in words.
  const std::vector<std::string>& wrong() const { return wrong_; }
  // The first of it, a line each.
  std::string Report() const;
  static double Now();

 private:
  using Call = e2e::RawClient::Call;
  enum class Procedure : std::uint8_t { kOther, kMake, kWrite, kCommit };

  // A change under way: its event is the last step of each of its objects, unless `executed` was found.
  struct Pending {
    std::shared_ptr<Event> event;
    Procedure procedure = Procedure::kOther;
    std::vector<ObjectId> objects;
    std::vector<State> after;
    bool idempotent = true;
    bool frees = false;  // space
    bool executed = false;
    double sent = 0;  // the last time
    std::uint32_t xid = 0;
    std::function<Call(e2e::RawClient&)> send;
    std::optional<Call> call;
  };
  struct Seen;

  // choose.cc: what to do next.
  Pending ChooseNext(bool stable);
  Pending Make();
  Pending ChangeFile(Object& file, bool stable);
  Pending WriteFile(Object& file, bool stable);
  Pending RenameOver(Object& file, Object& target);
  Pending Move(Object& object);
  Pending Unlink(Object& object);
  Pending Begin(const std::string& what, const Object& object, bool idempotent);
  Object* Pick();
  Object& Add(Kind kind);
  const Object& Home();
  std::string NewName(const Object& object);
  std::uint32_t Below(std::size_t bound) { return static_cast<std::uint32_t>(random_() % bound); }

  void Send(Pending& pending, e2e::RawClient& client);
  // Takes an answer in; false if it was wrong.
  bool Apply(Pending& pending);
  // All that came; false if one was wrong.
  bool ApplyAll();
  // It has not happened.
  void TakeBack(Pending& pending);
  // Drives all connections until one has something; false once one is gone.
  bool Turn(int timeout_ms);
  bool Await(std::vector<Call>& calls);

  // verify.cc
  bool ListAll(Seen& seen);
  bool List(ObjectId directory, Seen& seen);
  bool Adopt(const std::string& handle, const Link& link);
  bool ReadAll(Seen& seen, bool full);
  void Judge(Seen& seen, Crash crash, double crashed);
  bool CheckGraves();
  void Bury();
  bool Wrong(std::string what);
  std::string Name(const Object& object) const;

  const LoadOptions options_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<e2e::RawClient>> clients_;
  std::map<ObjectId, std::unique_ptr<Object>> objects_;
  std::vector<ObjectId> homes_, living_;
  std::unordered_map<std::string, ObjectId> by_handle_;
  std::vector<std::unique_ptr<Pending>> pending_;
  std::deque<std::string> graves_;  // handles that are stale for ever
  std::string root_, verifier_;
  std::set<std::string> verifiers_;  // of earlier lives
  ObjectId next_id_ = 0;
  std::uint32_t next_xid_ = 0, next_name_ = 0;
  Figures figures_;
  std::vector<std::string> wrong_;
};

}  // namespace strata::crash
