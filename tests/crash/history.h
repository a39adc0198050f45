// What each object of the served tree has been, change by change, as the client knows it; and which of these states a
// server may show after a crash.
//
// One object has one change under way at a time, so its states form a line. After a crash the object must be in ONE of
// them as a whole, not older than the last that was promised. Over all objects the changes that survived must be a
// prefix: the journal is a log, so when a change survived, every change that had been answered before it was sent did.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strata::crash {

using ObjectId = std::uint32_t;

// What was between two lives of the server.
enum class Crash : std::uint8_t {
  kProcess,  // SIGKILL: whatever was answered stays
  kPower,    // the machine: what was answered as durable stays
};

// What an answer promised.
enum class Promise : std::uint8_t {
  kNone,     // not answered
  kProcess,  // survives the process
  kSoon,     // survives the process, and a power cut once the stated interval is over
  kDisk,     // survives a power cut
};

// One change that a client asked for. A rename over another file changes two objects by one event.
struct Event {
  std::string what;
  double sent = 0, answered = std::numeric_limits<double>::infinity();  // seconds
  Promise promise = Promise::kNone;
  int kept = 0, lost = 0;  // by how many objects, after the crash that is being judged
};

// A name of an object.
struct Link {
  ObjectId directory = 0;
  std::string name;
  friend auto operator<=>(const Link&, const Link&) = default;
};

// The first `size` bytes of a block are those of this version's, the others zeros. Version 0: a hole.
struct Piece {
  std::uint32_t version = 0, size = 0;
  friend bool operator==(const Piece&, const Piece&) = default;
};

struct State {
  std::vector<Link> links;  // sorted; none: the object does not exist
  std::uint32_t mode = 0;   // 0: as the server chose
  std::uint64_t size = 0;
  std::vector<Piece> blocks;  // of a file

  bool exists() const { return !links.empty(); }
  void AddLink(Link link);
  void DropLink(const Link& link);
  // A write of `length` bytes from block `first` on. The last block may be cut short only where the file ends there.
  void Write(std::size_t first, std::uint64_t length, std::uint32_t version);
  void Truncate(std::uint64_t new_size);
  friend bool operator==(const State&, const State&) = default;
};

// What a server shows of an object.
struct Observed {
  std::vector<Link> links;  // sorted
  std::uint32_t mode = 0, nlink = 0;
  std::uint64_t size = 0;
  std::optional<std::string> content;  // of a file, where it was read
};

enum class Kind : std::uint8_t { kFile, kSymlink, kFolder };

struct Step {
  State state;
  std::shared_ptr<Event> event;  // that led to it; none: it is on disk
};

struct Object {
  ObjectId id = 0;
  Kind kind = Kind::kFile;
  bool home = false;   // a folder that the others lie in; it is only renamed
  std::string handle;  // empty until known
  std::uint32_t version = 0;
  std::vector<Step> steps;  // never empty
  bool busy = false;        // the last step is under way
  bool changed = true;      // since it was read back in full

  const State& now() const { return steps.back().state; }
  std::string target() const { return "target of " + std::to_string(id); }
};

// The steps, by index, whose state an observation fits.
struct Fit {
  std::size_t oldest = 0, newest = 0;
};

// The oldest step that the object may be in after a crash.
std::size_t Required(const Object& object, Crash crash);
// Which of the steps from Required on it is in; none, with `why` in words, where it is in none of them. `blocks`
// counts the blocks compared.
std::optional<Fit> FindFit(const Object& object, const Observed& observed, Crash crash, std::uint64_t seed,
                           std::uint64_t* blocks, std::string* why);
// Notes in the events what became of them, and forgets what is settled: with `forget` only the state that was
// found, as what is on disk; else those up to it.
void Settle(Object& object, const Fit& fit, bool forget);
// In words, what is wrong with the whole: an event kept by half, one that was kept though an answered one before it was
// lost, one lost that should have been on disk by then (`interval` seconds before `crashed`). Empty: nothing.
std::vector<std::string> JudgeOrder(std::span<const std::shared_ptr<Event>> events, double crashed, double interval);

}  // namespace strata::crash
