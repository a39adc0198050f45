#include "vfs/check/check.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "journal/format.h"
#include "vfs/check/findings.h"
#include "vfs/check/survey.h"
#include "vfs/workspace/index_file.h"
#include "vfs/workspace/layers.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {
namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

struct LayerFault {
  std::string layer, what, advice;
};

class Check {
 public:
  Check(Env& env, const std::string& path, const CheckOptions& options) : env_(env), path_(path), options_(options) {}

  Result<CheckReport> Run(std::optional<std::vector<std::unique_ptr<Layer>>> layers) {
    auto config = LoadWorkspaceConfig(env_, path_);
    if (!config && config.error().code() != Errc::kCorrupt) return Fail(config.error());
    STRATA_ASSIGN(const auto lock, TakeLock());
    if (!config) {
      Findings findings;
      findings.Add(Severity::kDamage, path_ + "/workspace.json", std::string(config.error().message()),
                   "nothing else can be looked at without it");
      return findings.Conclude(nullptr, nullptr);
    }
    config_ = std::move(*config);
    const bool given = layers.has_value();
    if (!given) layers = OpenLayers();
    if (layers) lower_.emplace(std::move(*layers), config_.name_key);

    std::vector<std::string> repairs;
    STRATA_ASSIGN(CheckReport report, Look(options_.repair ? &repairs : nullptr));
    if (!repairs.empty()) {
      const std::uint64_t found = report.damage;
      STRATA_ASSIGN(report, Look(nullptr));
      repairs.insert(repairs.begin(), "found " + std::to_string(found) + (found == 1 ? " damage" : " damages"));
      report.repairs = std::move(repairs);
    }
    return report;
  }

 private:
  Result<std::unique_ptr<File>> TakeLock() {
    auto file = env_.Open(path_ + "/lock", OpenMode::kCreate);
    // Where nothing can be written, looking needs no more.
    if (!file && !options_.repair) file = env_.Open(path_ + "/lock", OpenMode::kRead);
    if (!file) return Fail(file.error());
    if (auto locked = (*file)->Lock(); !locked) {
      if (locked.error().code() != Errc::kBusy && locked.error().code() != Errc::kWouldBlock)
        return Fail(locked.error());
      return Fail(Errc::kBusy, path_ + " is being served; end that process first: what changes cannot be checked");
    }
    return std::move(*file);
  }

  // Nothing where one cannot be opened; what is wrong is told by Look.
  std::optional<std::vector<std::unique_ptr<Layer>>> OpenLayers() {
    const LayerOpeners& openers = options_.openers != nullptr ? *options_.openers : LayerOpeners::Default();
    const std::size_t memory = MemoryBudget::Of(options_.memory_bytes).layers;
    std::vector<std::unique_ptr<Layer>> layers;
    for (const WorkspaceLayer& kept : config_.layers) {
      auto opened = openers.Open(
          kept.spec, {.hidden = path_, .memory = memory / config_.layers.size(), .layers = config_.layers.size()});
      const auto same = opened ? CheckResolution(path_, kept, opened->resolution) : Result<void>();
      if (!opened) {
        layer_faults_.push_back({FormatLayerSpec(kept.spec),
                                 "the layer cannot be read: " + std::string(opened.error().message()),
                                 "put it back; the workspace cannot be served without it"});
      } else if (!same) {
        layer_faults_.push_back({FormatLayerSpec(kept.spec), std::string(same.error().message()),
                                 "what was changed over it is compared with it again once it is what it was"});
      } else {
        layers.push_back(std::move(opened->layer));
      }
    }
    if (!layer_faults_.empty()) return std::nullopt;
    return layers;
  }

  void CheckLayers(Findings& findings) {
    findings.Count("layers", config_.layers.size());
    for (const LayerFault& fault : layer_faults_) {
      findings.Add(Severity::kDamage, fault.layer, fault.what, fault.advice);
    }
    if (!lower_ || lower_->empty()) return;
    auto root = lower_->Root(kBackground);
    Result<LowerListing> listing =
        root ? lower_->List(kBackground, root->node) : Result<LowerListing>(Fail(root.error()));
    if (!listing)
      findings.Add(Severity::kDamage, path_, "the layers cannot be read: " + std::string(listing.error().message()),
                   "put them back");
  }

  // With `repairs`, also mends what can be, and says what was done.
  Result<CheckReport> Look(std::vector<std::string>* repairs) {
    Findings findings;
    CheckLayers(findings);
    LowerTree* const lower = lower_ ? &*lower_ : nullptr;
    Survey survey(env_, path_, config_, lower, options_, findings);
    STRATA_TRY(survey.Run());
    CheckReport report = findings.Conclude(survey.names(), lower);
    if (repairs != nullptr && report.damaged()) STRATA_TRY(Repair(survey, *repairs));
    return report;
  }

  Result<void> Repair(Survey& survey, std::vector<std::string>& repairs) {
    // Without the journal's beginning there is nothing to build on.
    if (!survey.journal_readable() || survey.journal().records == 0) return {};
    bool cut = false;
    if (!survey.journal_whole()) {
      // Where only what the index already has cannot be read, cutting would lose far more.
      if (survey.serves_as_it_is()) return {};
      STRATA_TRY(Cut(survey, repairs));
      cut = true;
    }
    const bool ahead = survey.index_lsn() > survey.sound_end();
    if (survey.index_there() && (!survey.index_good() || ahead)) {
      STRATA_TRY(MoveIndexAside(env_, path_));
      repairs.push_back("the index was rebuilt from the journal; the old one is kept as " + DamagedIndexPath(path_));
      if (ahead && !cut) {
        repairs.push_back("lost: what the index had of journal positions " + std::to_string(survey.sound_end().value) +
                          " to " + std::to_string(survey.index_lsn().value) + ", which are missing in the journal");
      }
    } else if (!cut) {
      return {};
    }
    return Rebuild(survey.sound_end());
  }

  // Puts aside what lies behind the last place up to which all is sound.
  Result<void> Cut(Survey& survey, std::vector<std::string>& repairs) {
    const journal::VerifiedJournal& journal = survey.journal();
    const std::string lost = survey.Lost();
    const std::string last =
        path_ + "/journal/" + journal::SegmentName(survey.sound_end().value / journal.segment_size);
    for (const std::string& file : journal.files) {
      if (file < last) continue;
      STRATA_TRY(MakeRoomForDamaged(env_, file, kAll));
      if (file == last) STRATA_TRY(CopyFile(env_, file, DamagedName(file)));
    }
    for (auto file = journal.files.rbegin(); file != journal.files.rend() && *file > last; ++file) {
      STRATA_TRY(env_.Rename(*file, DamagedName(*file)));
    }
    STRATA_TRY(env_.SyncDirectory(path_ + "/journal"));
    repairs.push_back("the journal was cut at position " + std::to_string(survey.sound_end().value) +
                      "; its files as they were are kept beside as NAME.damaged");
    repairs.push_back(lost.empty() ? "lost: what was written behind it, of which nothing can be read"
                                   : "lost: " + lost);
    return {};
  }

  Result<void> Rebuild(Lsn end) {
    journal::JournalOptions options;
    options.volume_id = config_.volume_id;
    options.ends_at = end;
    STRATA_ASSIGN(const auto journal, journal::Journal::Open(env_, path_ + "/journal", options));
    const MemoryBudget budget = MemoryBudget::Of(options_.memory_bytes);
    STRATA_ASSIGN(const auto index,
                  store::Index::Open(IndexPath(path_), store::IndexMode::kReadWrite, config_.volume_id,
                                     {budget.index_written_pages, budget.index_read_pages}));
    STRATA_ASSIGN(const store::Index::Checkpoint reached, index->LastCheckpoint());
    const auto copied_up = std::make_unique<NumberFilter>();
    Checkpointer checkpointer(*journal, *index, config_.name_key, *copied_up, reached, budget.index_batch);
    while (checkpointer.reached().lsn < end) {
      STRATA_ASSIGN(const bool advanced, checkpointer.Apply(end));
      if (!advanced) break;
      if (options_.progress) {
        options_.progress("rebuild",
                          static_cast<double>(checkpointer.reached().lsn.value) / static_cast<double>(end.value));
      }
    }
    auto settled = index->Settle();
    if (!settled) return Fail(settled.error());
    return {};
  }

  Env& env_;
  const std::string& path_;
  const CheckOptions& options_;
  WorkspaceConfig config_;
  std::vector<LayerFault> layer_faults_;
  std::optional<LowerTree> lower_;
};

}  // namespace

Result<CheckReport> CheckWorkspace(Env& env, const std::string& path, const CheckOptions& options) {
  return Check(env, path, options).Run(std::nullopt);
}

Result<CheckReport> CheckWorkspaceOver(Env& env, const std::string& path, std::vector<std::unique_ptr<Layer>> layers,
                                       const CheckOptions& options) {
  return Check(env, path, options).Run(std::move(layers));
}

}  // namespace strata::vfs
