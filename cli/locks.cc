// strata locks: lists what clients have locked and who waits, and frees locks by hand.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <tuple>

#include "base/env.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/find_paths.h"
#include "cli/output.h"
#include "server/lock_control.h"

namespace strata::cli {
namespace {

using nlm4::ListedLock;
using nlm4::ListedMode;
using nlm4::LockListing;
using nlm4::LockSelection;

// For the names of the files that are locked.
constexpr std::chrono::seconds kPathLimit{1};

struct LocksArguments {
  std::string workspace;
  bool json = false;
  bool release = false;
  // What was given; an empty text is one too.
  std::string id, client, address;
  bool by_id = false, by_client = false, by_address = false;
};

Result<LockSelection> ParseSelection(const LocksArguments& arguments) {
  LockSelection which;
  if (arguments.by_client) which.client = arguments.client;
  if (arguments.by_address) {
    boost::system::error_code error;
    which.address = boost::asio::ip::make_address(arguments.address, error);
    if (error) {
      return Fail(Errc::kInvalid, "--address " + arguments.address + ": not a numeric address, such as 192.168.1.7");
    }
  }
  if (arguments.by_id) {
    const char* const end = arguments.id.data() + arguments.id.size();
    const auto [rest, error] = std::from_chars(arguments.id.data(), end, which.id.emplace(), 16);
    if (error != std::errc() || rest != end) {
      return Fail(Errc::kInvalid, "--id " + arguments.id + ": not the id of a lock; strata locks " +
                                      arguments.workspace + " lists them");
    }
  }
  return which;
}

std::string IdText(const ListedLock& lock) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(lock.id));
  return text;
}

// The two largest units: "5s", "3m12s", "2h05m", "4d03h".
std::string AgeText(std::int64_t ns) {
  const long long seconds = std::max<std::int64_t>(ns, 0) / 1'000'000'000;
  char text[48];
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%llds", seconds);
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%lldm%02llds", seconds / 60, seconds % 60);
  } else if (seconds < 86400) {
    std::snprintf(text, sizeof text, "%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
  } else {
    std::snprintf(text, sizeof text, "%lldd%02lldh", seconds / 86400, seconds / 3600 % 24);
  }
  return text;
}

// Of the bits of a reservation.
const char* ReadWriteText(std::uint32_t bits) {
  static constexpr const char* kTexts[] = {"none", "r", "w", "rw"};
  return kTexts[bits & 3];
}

const char* ModeWord(const ListedLock& lock) {
  switch (lock.mode) {
    case ListedMode::kShared:
      return "shared";
    case ListedMode::kExclusive:
      return "exclusive";
    case ListedMode::kReservation:
      return "reservation";
  }
  return "unknown";
}

// Nothing where it reaches to the end.
std::optional<std::uint64_t> Length(const ListedLock& lock) {
  if (lock.last == ListedLock::kToTheEnd) return std::nullopt;
  return lock.last - lock.first + 1;
}

using Paths = std::map<InodeNumber, std::string>;

// Nothing is known of a workspace that cannot be read here, or of files that are not found in time.
Paths PathsOf(const LockListing& listing, const std::string& workspace) {
  std::set<InodeNumber> wanted;
  for (const ListedLock& lock : listing.locks) wanted.insert(lock.ino);
  if (wanted.empty()) return {};
  const auto volume = OpenForReading(workspace);
  if (!volume) {
    log::Debug("paths_unknown", {{"error", volume.error()}});
    return {};
  }
  return FindPaths(**volume, std::move(wanted), kPathLimit);
}

void PrintAsJson(const LockListing& listing, const Paths& paths) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ListedLock& lock : listing.locks) {
    const nlm4::ListedClient& client = listing.clients[lock.client];
    nlohmann::ordered_json item = {
        {"id", IdText(lock)}, {"client", client.name},  {"address", client.address.to_string()},
        {"pid", lock.svid},   {"kind", ModeWord(lock)}, {"state", lock.waits ? "waits" : "holds"}};
    if (lock.mode == ListedMode::kReservation) {
      item["access"] = ReadWriteText(lock.access);
      item["deny"] = ReadWriteText(lock.deny);
    }
    const auto length = Length(lock);
    item["first"] = lock.first;
    item["length"] = length ? nlohmann::ordered_json(*length) : nlohmann::ordered_json();
    item["since"] = Rfc3339Text(Time{lock.since_ns});
    item["fileid"] = lock.ino.value;
    const auto path = paths.find(lock.ino);
    item["path"] = path != paths.end() ? nlohmann::ordered_json(path->second) : nlohmann::ordered_json();
    list.push_back(std::move(item));
  }
  PrintJson(list);
}

void PrintAsTable(const LockListing& listing, const Paths& paths) {
  constexpr std::size_t kColumns = 10, kState = 5;
  using Row = std::array<std::string, kColumns>;
  static constexpr bool kRight[kColumns] = {false, false, false, true, false, false, true, true, true, false};
  const Row head = {"ID", "CLIENT", "ADDRESS", "PID", "KIND", "STATE", "FIRST", "LENGTH", "AGE", "FILE"};
  std::vector<Row> rows{head};
  const std::int64_t now = Env::System().Now().ns;
  for (const ListedLock& lock : listing.locks) {
    const nlm4::ListedClient& client = listing.clients[lock.client];
    std::string kind = ModeWord(lock);
    if (lock.mode == ListedMode::kReservation) {
      kind = std::string("opens ") + ReadWriteText(lock.access) + ", denies " + ReadWriteText(lock.deny);
    }
    const auto length = Length(lock);
    const auto path = paths.find(lock.ino);
    rows.push_back({IdText(lock), Printable(client.name), client.address.to_string(), std::to_string(lock.svid),
                    std::move(kind), lock.waits ? "waits" : "holds", std::to_string(lock.first),
                    length ? std::to_string(*length) : "to the end", AgeText(now - lock.since_ns),
                    path != paths.end() ? Printable(path->second) : "fileid " + std::to_string(lock.ino.value)});
  }
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < kColumns; ++i) {
      const std::string gap(i + 1 < kColumns || kRight[i] ? widths[i] - row[i].size() : 0, ' ');
      const std::string shown = i == kState && row[i] == "waits" ? Coloured(row[i], kYellow) : row[i];
      line += (i > 0 ? "  " : "") + (kRight[i] ? gap + shown : shown + gap);
    }
    std::printf("%s\n", line.c_str());
  }
}

Result<void> ListLocks(const LocksArguments& arguments, const std::string& workspace, const LockSelection& which) {
  STRATA_ASSIGN(LockListing listing, AskForLocks(workspace, which));
  // What belongs to one file together, and who waits for it last, the longest first.
  std::ranges::sort(listing.locks, {}, [](const ListedLock& lock) {
    return std::tuple(lock.volume, lock.ino, lock.waits, lock.waits ? 0 : lock.first, lock.since_ns, lock.id);
  });
  const Paths paths = PathsOf(listing, workspace);
  if (arguments.json) {
    PrintAsJson(listing, paths);
  } else if (listing.locks.empty()) {
    std::printf("no locks\n");
  } else {
    PrintAsTable(listing, paths);
  }
  return {};
}

Result<void> ReleaseLocks(const LocksArguments& arguments, const std::string& workspace, const LockSelection& which) {
  STRATA_ASSIGN(const std::uint64_t released, AskToReleaseLocks(workspace, which));
  if (released == 0) {
    return Fail(Errc::kNotFound, "freeing locks of " + workspace +
                                     ": there is none such; what was listed may have been given up or changed since: "
                                     "list again with strata locks " +
                                     arguments.workspace);
  }
  if (arguments.json) {
    PrintJson({{"freed", released}});
  } else {
    std::printf("freed %llu\n", static_cast<unsigned long long>(released));
  }
  return {};
}

Result<void> Locks(const LocksArguments& arguments) {
  STRATA_ASSIGN(const LockSelection which, ParseSelection(arguments));
  STRATA_ASSIGN(const std::string workspace, WorkspaceOf(arguments.workspace));
  return arguments.release ? ReleaseLocks(arguments, workspace, which) : ListLocks(arguments, workspace, which);
}

}  // namespace

void AddLocks(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<LocksArguments>();
  CLI::App* command =
      app.add_subcommand("locks", "List what clients have locked and who waits, of a workspace that is served");
  command->add_option("WORKSPACE", arguments->workspace, "A workspace, or a folder that is served")->required();
  command->add_option("--client", arguments->client, "Only of the client that calls itself so")->type_name("NAME");
  command->add_option("--address", arguments->address, "Only of clients at this address")->type_name("ADDR");
  command->add_option("--id", arguments->id, "Only the lock that is listed with this id")->type_name("ID");
  command->add_flag("--release", arguments->release,
                    "Free what --client, --address and --id select, so that others get it. The client is not told and "
                    "goes on as if it held the lock: for clients that are gone for good");
  command->add_flag("--json", arguments->json, "JSON, for programs");
  command->footer(
      "PID is what the client says: Linux counts the owners of locks itself. A file whose path is not found within a\n"
      "second is shown by its fileid. A lock that changes gets another id. In JSON a length of null is to the end.\n"
      "\n"
      "Examples:\n"
      "  strata locks ~/project\n"
      "  strata locks ~/project --client build7 --json\n"
      "  strata locks ~/project --release --id 3f9a02c47be1d855   one lock, or one that waits\n"
      "  strata locks ~/project --release --client build7         all that build7 holds and waits for");
  command->callback([arguments, command, &action] {
    arguments->by_id = command->count("--id") > 0;
    arguments->by_client = command->count("--client") > 0;
    arguments->by_address = command->count("--address") > 0;
    if (arguments->release && !arguments->by_id && !arguments->by_client && !arguments->by_address) {
      throw CLI::ValidationError("--release", "say what to free: --id ID, --client NAME or --address ADDR");
    }
    action = [arguments] { return Locks(*arguments); };
  });
}

}  // namespace strata::cli
