// strata store: makes a store, tells what it holds, checks it, and removes what nothing leads to.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/serve_options.h"
#include "cli/transfer_progress.h"
#include "cli/trees.h"
#include "store/pack/collect.h"
#include "store/pack/pack_store.h"
#include "store/pack/stat.h"
#include "store/pack/verify.h"

namespace strata::cli {
namespace {

using store::pack::CollectReport;
using store::pack::Problem;
using store::pack::RecordKind;
using store::pack::StoreStat;
using store::pack::VerifyReport;

struct StoreArguments {
  std::string store;
  bool json = false;
  bool logical = false;         // of stat
  std::string rate;             // of scrub
  bool dry_run = false;         // of gc
  bool despite_damage = false;  // of gc
};

Result<std::shared_ptr<store::PackStore>> OpenPacks(const StoreArguments& arguments, bool read_only) {
  STRATA_ASSIGN(const store::StoreAddress address, ReadStore(arguments.store));
  if (address.kind != store::StoreKind::kPack) {
    return Fail(Errc::kNotSupported, store::FormatStoreAddress(address) +
                                         ": only a store of packs can be looked after so; copy what it holds into one: "
                                         "strata export, then strata import");
  }
  store::PackStoreOptions options;
  options.read_only = read_only;
  return store::PackStore::Open(Env::System(), address.path, options);
}

Result<void> InitStore(const StoreArguments& arguments) {
  STRATA_ASSIGN(const store::StoreAddress address, ReadStore(arguments.store));
  if (address.kind == store::StoreKind::kPack) STRATA_TRY(MakeParents(address.path));
  STRATA_ASSIGN(const store::Store made, store::OpenStore(Env::System(), address, {.create = true}));
  if (arguments.json) {
    PrintJson({{"store", made.Describe()}});
  } else {
    std::printf("%s\n", Printable(made.Describe()).c_str());
  }
  return {};
}

// -- ls --

struct NamedRoot {
  std::string name;
  store::Root root;
};

const char* KindWord(store::NodeKind kind) {
  switch (kind) {
    case store::NodeKind::kDirectory:
      return "directory";
    case store::NodeKind::kFile:
      return "file";
    case store::NodeKind::kSymlink:
      break;
  }
  return "symlink";
}

nlohmann::ordered_json RootToJson(const NamedRoot& named) {
  nlohmann::ordered_json json = {
      {"name", named.name}, {"node", ToJson(named.root.node)}, {"set", Rfc3339Text(named.root.set)}};
  if (named.root.attributes) json["attributes"] = named.root.attributes->Text();
  return json;
}

Result<void> ListStore(const StoreArguments& arguments) {
  STRATA_ASSIGN(const store::Store opened, OpenNamedStore(arguments.store, {.read_only = true}));
  std::vector<NamedRoot> roots;
  STRATA_TRY(opened.roots->List({}, [&](std::string_view name, const store::Root& root) {
    roots.push_back({std::string(name), root});
    return true;
  }));
  if (arguments.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const NamedRoot& named : roots) list.push_back(RootToJson(named));
    PrintJson(list);
    return {};
  }
  std::size_t width = 4;
  for (const NamedRoot& named : roots) width = std::max(width, Printable(named.name).size());
  if (!roots.empty()) {
    std::printf("%-*s  %-9s %12s  %-19s  %-8s  %s\n", static_cast<int>(width), "NAME", "KIND", "SIZE", "SET",
                "METADATA", "DIGEST");
  }
  for (const NamedRoot& named : roots) {
    const store::Node& node = named.root.node;
    const bool symlink = node.kind == store::NodeKind::kSymlink;
    std::printf("%-*s  %-9s %12llu  %-19s  %-8s  %s\n", static_cast<int>(width), Printable(named.name).c_str(),
                KindWord(node.kind), static_cast<unsigned long long>(node.size), TimeText(named.root.set).c_str(),
                named.root.attributes ? "yes" : "no",
                symlink ? ("-> " + Printable(node.target)).c_str() : node.digest.Text().c_str());
  }
  return {};
}

// -- stat --

constexpr std::array<std::pair<RecordKind, const char*>, 4> kKinds = {{{RecordKind::kChunk, "chunks"},
                                                                       {RecordKind::kDirectory, "directories"},
                                                                       {RecordKind::kList, "chunk_lists"},
                                                                       {RecordKind::kListPart, "parts_of_lists"}}};

double Ratio(std::uint64_t raw, std::uint64_t stored) {
  return stored == 0 ? 1 : static_cast<double>(raw) / static_cast<double>(stored);
}

void PrintStat(const StoreStat& stat) {
  const auto line = [](const char* what, const std::string& value) {
    std::printf("%-24s %14s\n", what, value.c_str());
  };
  if (stat.logical_bytes) line("logical", BytesText(*stat.logical_bytes));
  line("unique", BytesText(stat.UniqueBytes()));
  line("compressed", BytesText(stat.StoredBytes()));
  char ratio[32];
  std::snprintf(ratio, sizeof ratio, "%.2f",
                Ratio(stat.logical_bytes.value_or(stat.UniqueBytes()), stat.StoredBytes()));
  line("ratio", ratio);
  if (stat.logical_files) line("files", CountText(*stat.logical_files));
  for (const auto& [kind, word] : kKinds) line(word, CountText(stat.Of(kind).records));
  line("names", CountText(stat.names));
  line("leases", CountText(stat.leases));
  line("packs", CountText(stat.packs));
  line("bytes on disk", BytesText(stat.pack_bytes));
  line("indexes", CountText(stat.indexes));
  line("not yet indexed", CountText(stat.unindexed));
}

void PrintStatAsJson(const std::string& address, const StoreStat& stat) {
  nlohmann::ordered_json json = {{"store", address}};
  if (stat.logical_bytes) json["logical_bytes"] = *stat.logical_bytes;
  if (stat.logical_files) json["files"] = *stat.logical_files;
  json["unique_bytes"] = stat.UniqueBytes();
  json["compressed_bytes"] = stat.StoredBytes();
  for (const auto& [kind, word] : kKinds) {
    const StoreStat::Kind& of = stat.Of(kind);
    json[word] = {{"records", of.records}, {"bytes", of.raw}, {"compressed_bytes", of.stored}};
  }
  json["names"] = stat.names;
  json["leases"] = stat.leases;
  json["packs"] = stat.packs;
  json["pack_bytes"] = stat.pack_bytes;
  json["indexes"] = stat.indexes;
  json["unindexed"] = stat.unindexed;
  PrintJson(json);
}

Result<void> StatStore(const StoreArguments& arguments) {
  STRATA_ASSIGN(const auto packs, OpenPacks(arguments, true));
  STRATA_ASSIGN(const StoreStat stat,
                store::pack::StatStore(packs->engine(), {.logical = arguments.logical, .step = {}}));
  if (arguments.json) {
    PrintStatAsJson(packs->Describe(), stat);
  } else {
    PrintStat(stat);
  }
  return {};
}

// -- verify, scrub --

nlohmann::ordered_json ProblemToJson(const Problem& problem) {
  nlohmann::ordered_json json = {{"problem", problem.message}};
  if (problem.digest) json["digest"] = problem.digest->Text();
  if (problem.pack) json["pack"] = store::pack::PackFileName(*problem.pack);
  if (problem.end > problem.begin) json["begin"] = problem.begin, json["end"] = problem.end;
  return json;
}

// Shows each thing that is found as it comes, and gathers it for JSON.
class Problems {
 public:
  Problems(bool json, Progress& progress) : json_(json), progress_(progress) {}

  void Add(const Problem& problem) {
    if (json_) {
      found_.push_back(ProblemToJson(problem));
      return;
    }
    progress_.Clear();
    std::printf("%s %s\n", Coloured("damage:", kRed).c_str(), Printable(problem.message).c_str());
  }
  nlohmann::ordered_json Take() { return std::move(found_); }

 private:
  const bool json_;
  Progress& progress_;
  nlohmann::ordered_json found_ = nlohmann::ordered_json::array();
};

auto ShownBy(Progress& progress) {
  return [&progress](std::string_view doing, std::uint64_t done, std::uint64_t total) {
    progress.Show(doing, total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total));
    return true;
  };
}

Result<void> Verify(const StoreArguments& arguments, bool scrub) {
  STRATA_ASSIGN(const auto packs, OpenPacks(arguments, !scrub));
  Progress progress;
  Problems problems(arguments.json, progress);
  store::pack::VerifyOptions options;
  options.told = [&](const Problem& problem) { problems.Add(problem); };
  options.progress = ShownBy(progress);
  if (!arguments.rate.empty()) {
    const auto rate = ParseSize(arguments.rate);
    if (!rate) return Fail(Errc::kInvalid, "--rate " + arguments.rate + ": not a size; give one such as 500K or 20M");
    options.bytes_a_second = *rate;
  }
  auto done =
      scrub ? store::pack::ScrubStore(packs->engine(), options) : store::pack::VerifyStore(packs->engine(), options);
  progress.Clear();
  if (!done) return Fail(done.error());
  const VerifyReport& report = *done;
  if (arguments.json) {
    PrintJson({{"store", packs->Describe()},
               {"clean", report.problems == 0},
               {"packs", report.packs},
               {"records", report.records},
               {"bytes", report.bytes},
               {"torn_bytes", report.torn_bytes},
               {"problems", problems.Take()}});
  } else {
    std::printf("%s records in %s packs, %s: %s\n", CountText(report.records).c_str(), CountText(report.packs).c_str(),
                BytesText(report.bytes).c_str(), report.problems == 0 ? "no damage found" : "damaged");
  }
  if (report.problems == 0) return {};
  return Fail(Errc::kCorrupt, packs->Describe() + ": " + CountText(report.problems) +
                                  " things are damaged or missing; import what they came from again, which puts them "
                                  "back, and run this once more");
}

// -- gc --

void PrintCollected(const CollectReport& report, bool dry_run) {
  const auto line = [](const char* what, const std::string& value) {
    std::printf("%-28s %14s\n", what, value.c_str());
  };
  line("names", CountText(report.names));
  line("leases", CountText(report.leases));
  line("lives", BytesText(report.live_bytes));
  line("dead", BytesText(report.dead_bytes));
  line("of that: too young", BytesText(report.young_bytes));
  line("of that: in use", BytesText(report.used_bytes));
  line("of that: not yet worth it", BytesText(report.sparse_bytes));
  line(dry_run ? "would be freed" : "freed", BytesText(report.freed_bytes));
  line("packs removed", CountText(report.removed_packs));
  line("packs rewritten", CountText(report.rewritten_packs));
}

Result<void> Collect(const StoreArguments& arguments) {
  STRATA_ASSIGN(const auto packs, OpenPacks(arguments, false));
  Progress progress;
  Problems problems(arguments.json, progress);
  store::pack::CollectOptions options;
  options.dry_run = arguments.dry_run;
  options.despite_damage = arguments.despite_damage;
  options.told = [&](const Problem& problem) { problems.Add(problem); };
  options.progress = ShownBy(progress);
  auto done = store::pack::CollectGarbage(packs->engine(), options);
  progress.Clear();
  if (!done) {
    if (done.error().code() != Errc::kCorrupt || arguments.despite_damage) return Fail(done.error());
    return Fail(Errc::kCorrupt,
                std::string(done.error().message()) +
                    "; nothing was removed: see strata store verify, or give --despite-damage to go on");
  }
  const CollectReport& report = *done;
  if (!arguments.json) {
    PrintCollected(report, arguments.dry_run);
    return {};
  }
  PrintJson({{"store", packs->Describe()},
             {"dry_run", arguments.dry_run},
             {"names", report.names},
             {"leases", report.leases},
             {"live_bytes", report.live_bytes},
             {"dead_bytes", report.dead_bytes},
             {"young_bytes", report.young_bytes},
             {"used_bytes", report.used_bytes},
             {"sparse_bytes", report.sparse_bytes},
             {"freed_bytes", report.freed_bytes},
             {"removed_packs", report.removed_packs},
             {"rewritten_packs", report.rewritten_packs},
             {"problems", problems.Take()}});
  return {};
}

CLI::App* AddPart(CLI::App& store, const char* name, const char* what, const std::shared_ptr<StoreArguments>& arguments,
                  Action& action, Result<void> (*run)(const StoreArguments&)) {
  CLI::App* const command = store.add_subcommand(name, what);
  command->add_option("STORE", arguments->store, "A folder of packs, or a store's address; by default the user's own");
  command->add_flag("--json", arguments->json, "JSON, for programs");
  command->callback([arguments, &action, run] { action = [arguments, run] { return run(*arguments); }; });
  return command;
}

}  // namespace

void AddStore(CLI::App& app, Action& action) {
  CLI::App* const store = app.add_subcommand("store", "Look after a store of trees");
  store->require_subcommand(1);
  const auto arguments = std::make_shared<StoreArguments>();
  AddPart(*store, "init", "Make a store where there is none", arguments, action, &InitStore)
      ->footer(
          "Examples:\n  strata store init                                  # the user's own\n"
          "  strata store init /srv/store\n  strata store init objectstore+file:///srv/bucket   # as tvix and snix "
          "have it");
  AddPart(*store, "ls", "List the names and what they stand for", arguments, action, &ListStore)
      ->footer("Examples:\n  strata store ls\n  strata store ls /srv/store --json");
  CLI::App* const stat = AddPart(*store, "stat", "Count what is there", arguments, action, &StatStore);
  stat->add_flag("--logical", arguments->logical,
                 "Walk the trees of all names too: what they would take without sharing anything");
  stat->footer("Example:\n  strata store stat /srv/store --logical");
  AddPart(*store, "verify", "Read all of it, and name each hole", arguments, action, [](const StoreArguments& given) {
    return Verify(given, false);
  })->footer("Ends with 1 where something is damaged or missing.\nExample:\n  strata store verify /srv/store");
  CLI::App* const scrub = AddPart(*store, "scrub", "Read all of it slowly, going on where the last scrub stopped",
                                  arguments, action, [](const StoreArguments& given) { return Verify(given, true); });
  scrub->add_option("--rate", arguments->rate, "Read at most so much a second, such as 50M")->type_name("SIZE");
  scrub->footer("Example:\n  strata store scrub /srv/store --rate 20M");
  CLI::App* const gc = AddPart(*store, "gc", "Remove what no name and no lease leads to", arguments, action, &Collect);
  gc->add_flag("--dry-run", arguments->dry_run, "Count, and remove nothing");
  gc->add_flag("--despite-damage", arguments->despite_damage,
               "Go on where something is missing; what only that would have led to is removed");
  gc->footer(
      "What was put within the last hour, or since the oldest import or server began, stays.\n"
      "Examples:\n  strata store gc --dry-run\n  strata store gc /srv/store");
}

}  // namespace strata::cli
