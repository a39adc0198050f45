// strata store: makes a store and looks after it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/transfer_progress.h"
#include "cli/trees.h"
#include "store/objects/stat.h"
#include "store/objects/verify.h"
#include "store/pack/collect.h"
#include "store/pack/pack_store.h"
#include "store/pack/stat.h"
#include "store/pack/verify.h"

namespace strata::cli {
namespace {

using store::pack::Problem;

struct StoreArguments {
  std::string store;
  bool json = false;
  bool logical = false;         // of stat
  std::string name;             // of rm
  std::string rate;             // of verify and scrub
  bool dry_run = false;         // of gc
  bool despite_damage = false;  // of gc
};

using StoreAction = Result<void> (*)(const StoreArguments&);

// Why something is not done with a store that is not one of packs, and what to do instead where it is one of objects.
struct Instead {
  const char* doing;
  const char* of_objects;
};
constexpr Instead kInsteadOfScrub{"scrubbing", "use strata store verify, with --rate to go slowly"};
constexpr Instead kInsteadOfCollecting{"removing garbage from",
                                       "a bucket may be shared with programs whose trees have no name in it. Put what "
                                       "is to stay into another store (strata "
                                       "export, strata import), and remove this one"};
constexpr Instead kInsteadOfLooking{"looking after", "name it by its own address"};

std::unexpected<Status> NotOfPacks(const store::Store& store, const Instead& instead) {
  const std::string begin = std::string(instead.doing) + ' ' + store.Describe() + ": ";
  if (store.bucket) {
    return Fail(Errc::kNotSupported, begin + "that is for stores of packs (pack:PATH) only; " + instead.of_objects);
  }
  return Fail(Errc::kNotSupported, begin +
                                       "it is neither a store of packs nor one of objects; name each store that it "
                                       "is made of by itself (pack:PATH, objectstore+file:///PATH)");
}

Result<store::Store> OpenPacks(const StoreArguments& arguments, bool read_only, const Instead& instead) {
  STRATA_ASSIGN(store::Store store, OpenNamedStore(arguments.store, {.read_only = read_only}));
  if (!store.pack) return NotOfPacks(store, instead);
  return store;
}

const char* WordOf(Problem::What what) {
  switch (what) {
    case Problem::What::kDamagedRecord:
      return "damaged_record";
    case Problem::What::kLostBytes:
      return "lost_bytes";
    case Problem::What::kDamagedPack:
      return "damaged_pack";
    case Problem::What::kMissing:
      return "missing";
    case Problem::What::kDamagedIndex:
      return "damaged_index";
    case Problem::What::kWrongBlob:
      return "wrong_blob";
    case Problem::What::kDamagedName:
      return "damaged_name";
  }
  return "unknown";
}

// Problems as they are found: printed at once, or gathered for JSON.
class ProblemList {
 public:
  ProblemList(bool json, Progress& progress) : json_(json), progress_(progress) {}
  void Add(const Problem& problem) {
    if (!json_) {
      progress_.Clear();
      std::printf("%s %s\n", Coloured("damage:", kRed).c_str(), Printable(problem.message).c_str());
      return;
    }
    if (list_.size() >= kMost) return;
    nlohmann::ordered_json item = {{"what", WordOf(problem.what)}, {"message", problem.message}};
    if (problem.digest) item["digest"] = problem.digest->Text();
    list_.push_back(std::move(item));
  }
  const nlohmann::ordered_json& list() const { return list_; }

 private:
  static constexpr std::size_t kMost = 10'000;
  const bool json_;
  Progress& progress_;
  nlohmann::ordered_json list_ = nlohmann::ordered_json::array();
};

double PartDone(std::uint64_t done, std::uint64_t total) {
  return total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
}

Result<void> InitStore(const StoreArguments& arguments) {
  STRATA_ASSIGN(const store::Store store, OpenNamedStore(arguments.store, {.create = true}));
  if (arguments.json) {
    PrintJson({{"store", store.Describe()}});
  } else {
    std::printf("%s\n", store.Describe().c_str());
  }
  return {};
}

struct ListedName {
  std::string name;
  store::Root root;
};

Result<void> ListNames(const StoreArguments& arguments) {
  STRATA_ASSIGN(const store::Store store, OpenNamedStore(arguments.store, {.read_only = true}));
  std::vector<ListedName> names;
  STRATA_TRY(store.roots->List(Waiting(), [&](std::string_view name, const store::Root& root) {
    names.push_back({std::string(name), root});
    return true;
  }));
  if (arguments.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const ListedName& listed : names) {
      nlohmann::ordered_json item = {{"name", listed.name}};
      item.update(ToJson(listed.root.node));
      item["attributes"] = listed.root.attributes ? nlohmann::ordered_json(listed.root.attributes->Text()) : nullptr;
      item["set"] = Rfc3339Text(listed.root.set);
      list.push_back(std::move(item));
    }
    PrintJson(list);
    return {};
  }
  std::size_t width = 0;
  for (const ListedName& listed : names) width = std::max(width, Printable(listed.name).size());
  for (const ListedName& listed : names) {
    const store::Node& node = listed.root.node;
    const bool directory = node.kind == store::NodeKind::kDirectory;
    const std::string shown = Printable(listed.name);
    std::printf("%s%*s  %s  %c%c  %s\n", directory ? Coloured(shown, kBlue).c_str() : shown.c_str(),
                static_cast<int>(width - shown.size()), "", TimeText(listed.root.set).c_str(),
                directory                                ? 'd'
                : node.kind == store::NodeKind::kSymlink ? 'l'
                                                         : '-',
                listed.root.attributes ? 'm' : '-', NodeText(node).c_str());
  }
  return {};
}

Result<void> RemoveName(const StoreArguments& arguments) {
  STRATA_ASSIGN(const store::Store store, OpenNamedStore(arguments.store, {}));
  if (auto removed = store.roots->Remove(arguments.name); !removed) {
    return Fail(
        removed.error().WithContext("removing the name " + Printable(arguments.name) + " from " + store.Describe()));
  }
  return {};
}

Result<void> StatAll(const StoreArguments& arguments) {
  STRATA_ASSIGN(const store::Store store, OpenNamedStore(arguments.store, {.read_only = true}));
  if (!store.pack && !store.bucket) return NotOfPacks(store, kInsteadOfLooking);
  const store::pack::StatOptions options{.logical = arguments.logical, .step = {}};
  STRATA_ASSIGN(const auto stat, store.pack
                                     ? store::pack::StatStore(store.pack->engine(), options)
                                     : store::StatObjects(*store.bucket, *store.directories, *store.roots, options));
  struct Row {
    const char* what;
    const char* key;
    store::pack::RecordKind kind;
  };
  static constexpr Row kRows[] = {{"chunks", "chunks", store::pack::RecordKind::kChunk},
                                  {"chunk lists", "lists", store::pack::RecordKind::kList},
                                  {"parts of lists", "list_parts", store::pack::RecordKind::kListPart},
                                  {"directories", "directories", store::pack::RecordKind::kDirectory}};
  const std::uint64_t unique = stat.UniqueBytes(), stored = stat.StoredBytes();
  if (arguments.json) {
    nlohmann::ordered_json json = {{"store", store.Describe()}};
    for (const Row& row : kRows) {
      const auto& kind = stat.Of(row.kind);
      json[row.key] = {{"records", kind.records}, {"raw_bytes", kind.raw}, {"stored_bytes", kind.stored}};
    }
    json.update({{"packs", stat.packs},
                 {"pack_bytes", stat.pack_bytes},
                 {"indexes", stat.indexes},
                 {"index_entries", stat.index_entries},
                 {"unindexed", stat.unindexed},
                 {"names", stat.names},
                 {"leases", stat.leases},
                 {"unique_bytes", unique},
                 {"stored_bytes", stored}});
    if (stat.logical_bytes) json["logical_bytes"] = *stat.logical_bytes;
    if (stat.logical_files) json["logical_files"] = *stat.logical_files;
    PrintJson(json);
    return {};
  }
  std::printf("store           %s\n", store.Describe().c_str());
  for (const Row& row : kRows) {
    const auto& kind = stat.Of(row.kind);
    std::printf("%-15s %12s  %10s, stored as %s\n", row.what, CountText(kind.records).c_str(),
                BytesText(kind.raw).c_str(), BytesText(kind.stored).c_str());
  }
  if (store.pack) {
    std::printf("packs           %12s  %10s\n", CountText(stat.packs).c_str(), BytesText(stat.pack_bytes).c_str());
    std::printf("indexes         %12s  %s entries, %s records in none yet\n", CountText(stat.indexes).c_str(),
                CountText(stat.index_entries).c_str(), CountText(stat.unindexed).c_str());
  }
  std::printf("names           %12s\n", CountText(stat.names).c_str());
  if (store.pack) std::printf("leases          %12s\n", CountText(stat.leases).c_str());
  if (stored > 0) std::printf("compression     %12.2f\n", static_cast<double>(unique) / static_cast<double>(stored));
  if (stat.logical_bytes) {
    std::printf("files of names  %12s  %10s\n", CountText(stat.logical_files.value_or(0)).c_str(),
                BytesText(*stat.logical_bytes).c_str());
    if (unique > 0) {
      std::printf("deduplication   %12.2f\n", static_cast<double>(*stat.logical_bytes) / static_cast<double>(unique));
    }
  }
  return {};
}

Result<void> Verify(const StoreArguments& arguments, bool scrub) {
  // A scrub keeps its place in the store's folder.
  STRATA_ASSIGN(const store::Store store, OpenNamedStore(arguments.store, {.read_only = !scrub}));
  const bool of_objects = !scrub && store.bucket;
  if (!store.pack && !of_objects) return NotOfPacks(store, scrub ? kInsteadOfScrub : kInsteadOfLooking);
  Progress progress;
  ProblemList problems(arguments.json, progress);
  store::pack::VerifyOptions options;
  if (!arguments.rate.empty()) {
    STRATA_ASSIGN(options.bytes_a_second, ReadSize("--rate", arguments.rate));
  }
  options.told = [&](const Problem& problem) { problems.Add(problem); };
  options.progress = [&](std::string_view doing, std::uint64_t done, std::uint64_t total) {
    progress.Show(doing, PartDone(done, total));
    return true;
  };
  STRATA_ASSIGN(const auto report, of_objects ? store::VerifyObjects(store.bucket, *store.directories, options)
                                   : scrub    ? store::pack::ScrubStore(store.pack->engine(), options)
                                              : store::pack::VerifyStore(store.pack->engine(), options));
  progress.Clear();
  if (arguments.json) {
    PrintJson({{"store", store.Describe()},
               {"sound", report.problems == 0},
               {"packs", report.packs},
               {"records", report.records},
               {"bytes", report.bytes},
               {"torn_bytes", report.torn_bytes},
               {"problems", report.problems},
               {"found", problems.list()}});
  } else {
    if (of_objects) {
      std::printf("%s objects, %s read\n", CountText(report.records).c_str(), BytesText(report.bytes).c_str());
    } else {
      std::printf("%s packs, %s records, %s read\n", CountText(report.packs).c_str(), CountText(report.records).c_str(),
                  BytesText(report.bytes).c_str());
    }
    if (report.torn_bytes > 0) {
      std::printf("%s that a crash left of the last writing, of which nothing was promised\n",
                  BytesText(report.torn_bytes).c_str());
    }
    if (report.problems == 0) std::printf("no damage found\n");
  }
  if (report.problems == 0) return {};
  return Fail(Errc::kCorrupt, store.Describe() + " is damaged (" + std::to_string(report.problems) +
                                  (report.problems == 1 ? " finding" : " findings") +
                                  "); what was lost comes back by importing it again, or from a copy of the store");
}

Result<void> VerifyAll(const StoreArguments& arguments) { return Verify(arguments, false); }
Result<void> Scrub(const StoreArguments& arguments) { return Verify(arguments, true); }

Result<void> Collect(const StoreArguments& arguments) {
  // A dry run writes too: indexes, without which nobody can say what each record is.
  STRATA_ASSIGN(const store::Store store, OpenPacks(arguments, false, kInsteadOfCollecting));
  Progress progress;
  ProblemList problems(arguments.json, progress);
  store::pack::CollectOptions options;
  options.dry_run = arguments.dry_run;
  options.despite_damage = arguments.despite_damage;
  options.told = [&](const Problem& problem) { problems.Add(problem); };
  options.progress = [&](std::string_view doing, std::uint64_t done, std::uint64_t total) {
    progress.Show(doing, PartDone(done, total));
    return true;
  };
  auto collected = store::pack::CollectGarbage(store.pack->engine(), options);
  progress.Clear();
  if (!collected) {
    if (collected.error().code() != Errc::kCorrupt) return Fail(collected.error());
    return Fail(
        Status(Errc::kCorrupt, std::string(collected.error().message()) +
                                   "; what only that leads to would be removed: see strata store verify, or go on "
                                   "with --despite-damage"));
  }
  const store::pack::CollectReport& report = *collected;
  if (arguments.json) {
    PrintJson({{"store", store.Describe()},
               {"dry_run", arguments.dry_run},
               {"names", report.names},
               {"leases", report.leases},
               {"live_records", report.live_records},
               {"live_bytes", report.live_bytes},
               {"dead_records", report.dead_records},
               {"dead_bytes", report.dead_bytes},
               {"young_bytes", report.young_bytes},
               {"used_bytes", report.used_bytes},
               {"sparse_bytes", report.sparse_bytes},
               {"freed_bytes", report.freed_bytes},
               {"removed_packs", report.removed_packs},
               {"rewritten_packs", report.rewritten_packs},
               {"problems", report.problems},
               {"found", problems.list()}});
    return {};
  }
  std::printf("reached by %s names and %s leases: %s records, %s\n", CountText(report.names).c_str(),
              CountText(report.leases).c_str(), CountText(report.live_records).c_str(),
              BytesText(report.live_bytes).c_str());
  std::printf("reached by nothing: %s records, %s\n", CountText(report.dead_records).c_str(),
              BytesText(report.dead_bytes).c_str());
  const auto kept = [](std::uint64_t bytes, const char* why) {
    if (bytes > 0) std::printf("  %s stay for now: %s\n", BytesText(bytes).c_str(), why);
  };
  kept(report.young_bytes, "they lie beside what was put a short time ago, or since a lease began");
  kept(report.used_bytes, "they lie in packs that are in use");
  kept(report.sparse_bytes, "they lie in packs in which much lives");
  std::printf("%s %s, %s packs removed, %s written anew\n", arguments.dry_run ? "would free" : "freed",
              BytesText(report.freed_bytes).c_str(), CountText(report.removed_packs).c_str(),
              CountText(report.rewritten_packs).c_str());
  return {};
}

CLI::App* AddStoreCommand(CLI::App* parent, Action& action, const std::shared_ptr<StoreArguments>& arguments,
                          const char* name, const char* help, const char* footer, StoreAction run) {
  CLI::App* command = parent->add_subcommand(name, help);
  command->add_option("--store,STORE", arguments->store, "The store; by default the user's own")->type_name("STORE");
  command->add_flag("--json", arguments->json, "JSON, for programs");
  command->footer(footer);
  command->callback([arguments, run, &action] { action = [arguments, run] { return run(*arguments); }; });
  return command;
}

}  // namespace

void AddStore(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<StoreArguments>();
  CLI::App* store = app.add_subcommand("store", "Make a store, list its trees, and look after it");
  store->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, const char* footer, StoreAction run) {
    return AddStoreCommand(store, action, arguments, name, help, footer, run);
  };
  add("init", "Make a store", "Example:\n  strata store init pack:/srv/store", InitStore);
  add("ls", "List the names of a store",
      "Columns: name, when it was set, kind (d directory, - file, l symlink), m where metadata was kept, root.\n"
      "Examples:\n  strata store ls\n  strata store ls pack:/srv/store --json",
      ListNames);
  CLI::App* remove = store->add_subcommand("rm", "Remove a name; what only it leads to goes with the next gc");
  remove->add_option("NAME", arguments->name, "The name")->required();
  remove->add_option("--store", arguments->store, "The store; by default the user's own")->type_name("STORE");
  remove->footer("Example:\n  strata store rm old-project");
  remove->callback([arguments, &action] { action = [arguments] { return RemoveName(*arguments); }; });
  CLI::App* stat = add("stat", "Count what a store holds",
                       "Examples:\n  strata store stat\n  strata store stat --logical --json", StatAll);
  stat->add_flag("--logical", arguments->logical, "Also what the trees of all names hold, which are walked for it");
  const auto add_rate = [&](CLI::App* command) {
    command
        ->add_option("--rate", arguments->rate,
                     "Read at most so much a second, such as 20M; by default as much as can be")
        ->type_name("SIZE");
  };
  add_rate(add("verify", "Read all that a store holds, and name what is damaged or missing",
               "Ends with 0 if nothing is, with 1 if something is.\n"
               "Examples:\n  strata store verify\n  strata store verify pack:/srv/store --rate 50M --json\n"
               "  strata store verify objectstore+file:///srv/bucket",
               VerifyAll));
  add_rate(add("scrub", "Read every pack once, gently, and go on where the last scrub was stopped",
               "Ends with 0 if nothing is damaged, with 1 if something is.\n"
               "Example:\n  strata store scrub --rate 20M",
               Scrub));
  CLI::App* collect = add("gc", "Remove what no name and no lease leads to",
                          "May run while others import and serve. What was put within the last hour stays.\n"
                          "Examples:\n  strata store gc --dry-run\n  strata store gc pack:/srv/store",
                          Collect);
  collect->add_flag("--dry-run", arguments->dry_run, "Say what would be freed, and free nothing");
  collect->add_flag("--despite-damage", arguments->despite_damage,
                    "Also where something that is reached is missing: what only that would have led to is removed");
}

}  // namespace strata::cli
