// strata check: looks at all that a workspace holds, says what it found, and mends what can be.
#include "vfs/check/check.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/progress.h"

namespace strata::cli {
namespace {

struct CheckArguments {
  std::string workspace;
  bool repair = false;
  bool json = false;
};

struct Word {
  const char* word;
  const char* colour;
};

Word WordOf(vfs::Severity severity) {
  switch (severity) {
    case vfs::Severity::kInformation:
      return {"note", kCyan};
    case vfs::Severity::kWarning:
      return {"warning", kYellow};
    case vfs::Severity::kDamage:
      break;
  }
  return {"damage", kRed};
}

void PrintReport(const vfs::CheckReport& report) {
  std::size_t width = 0;
  for (const auto& count : report.checked) width = std::max(width, count.what.size());
  for (const auto& count : report.checked) {
    std::printf("%-*s %12llu\n", static_cast<int>(width), count.what.c_str(),
                static_cast<unsigned long long>(count.number));
  }
  for (const vfs::Finding& finding : report.findings) {
    const Word word = WordOf(finding.severity);
    std::printf("\n%s %s\n  %s\n", Coloured(std::string(word.word) + ":", word.colour).c_str(),
                Printable(finding.where).c_str(), Printable(finding.what).c_str());
    if (!finding.advice.empty()) std::printf("  to do: %s\n", Printable(finding.advice).c_str());
  }
  if (report.left_out > 0) std::printf("\nand %llu findings more\n", static_cast<unsigned long long>(report.left_out));
  if (!report.repairs.empty()) std::printf("\n%s\n", Coloured("repaired:", kGreen).c_str());
  for (const std::string& repair : report.repairs) std::printf("  %s\n", Printable(repair).c_str());
  if (!report.damaged()) std::printf("\n%s\n", report.repairs.empty() ? "no damage found" : "no damage is left");
}

void PrintReportAsJson(const std::string& workspace, const vfs::CheckReport& report) {
  nlohmann::ordered_json json = {{"workspace", workspace}, {"clean", !report.damaged()}, {"damage", report.damage}};
  json["checked"] = nlohmann::ordered_json::object();
  for (const auto& count : report.checked) json["checked"][count.what] = count.number;
  json["findings"] = nlohmann::ordered_json::array();
  for (const vfs::Finding& finding : report.findings) {
    json["findings"].push_back({{"severity", WordOf(finding.severity).word},
                                {"where", finding.where},
                                {"what", finding.what},
                                {"advice", finding.advice}});
  }
  json["left_out"] = report.left_out;
  json["repairs"] = report.repairs;
  PrintJson(json);
}

Result<void> CheckOne(const CheckArguments& arguments) {
  Env& env = Env::System();
  STRATA_ASSIGN(const std::string workspace, WorkspaceOf(arguments.workspace));
  Progress progress;
  vfs::CheckOptions options;
  options.repair = arguments.repair;
  if (const char* temporary = std::getenv("TMPDIR"); temporary != nullptr && temporary[0] == '/') {
    options.temporary_folder = temporary;
  }
  options.progress = [&](std::string_view what, double part) { progress.Show(what, part); };
  STRATA_ASSIGN(const vfs::CheckReport report, vfs::CheckWorkspace(env, workspace, options));
  progress.Clear();
  if (arguments.json) {
    PrintReportAsJson(workspace, report);
  } else {
    PrintReport(report);
  }
  if (!report.damaged()) return {};
  const std::string found =
      workspace + " is damaged (" + std::to_string(report.damage) + (report.damage == 1 ? " finding)" : " findings)");
  if (arguments.repair)
    return Fail(Errc::kCorrupt, found + " beyond what can be repaired; the findings say what to do");
  return Fail(Errc::kCorrupt, found + "; what can be repaired is by: strata check --repair " + workspace);
}

}  // namespace

void AddCheck(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<CheckArguments>();
  CLI::App* command = app.add_subcommand("check", "Verify all that a workspace holds, and repair it");
  command
      ->add_option("WORKSPACE", arguments->workspace,
                   "A workspace that is not being served, or a folder or spec that was served")
      ->required();
  command->add_flag("--repair", arguments->repair,
                    "Rebuild the index from the journal, and cut the journal where it cannot be read on; what is "
                    "replaced is kept as NAME.damaged. "
                    "Layers are never touched");
  command->add_flag("--json", arguments->json, "JSON, for programs");
  command->footer(
      "Ends with 0 if there is no damage, or none is left; with 1 if there is.\n"
      "Examples:\n  strata check ~/project\n  strata check ~/ws --repair\n  strata check ~/ws --json");
  command->callback([arguments, &action] { action = [arguments] { return CheckOne(*arguments); }; });
}

}  // namespace strata::cli
