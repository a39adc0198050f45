#include "tests/bench/options.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

#include "tests/bench/metrics.h"
#include "tests/bench/support.h"

namespace nfsbench {
namespace {

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

TargetSpec ParseTarget(const std::string& text) {
  const auto parts = Split(text, ',');
  if (parts.size() < 2 || parts.size() > 3) Die("--target wants LABEL,URL[,PID], not %s", text.c_str());
  TargetSpec target;
  target.label = parts[0];
  if (parts.size() == 3) target.pid = std::atoi(parts[2].c_str());
  constexpr std::string_view kScheme = "nfs://";
  if (!parts[1].starts_with(kScheme)) Die("not an nfs:// URL: %s", parts[1].c_str());
  std::string rest = parts[1].substr(kScheme.size());
  if (const auto question = rest.find('?'); question != std::string::npos) {
    for (const auto& argument : Split(rest.substr(question + 1), '&')) {
      if (argument.starts_with("nfsport=")) {
        target.nfs_port = std::atoi(argument.c_str() + 8);
      } else if (argument.starts_with("mountport=")) {
        target.mount_port = std::atoi(argument.c_str() + 10);
      } else if (argument != "version=3") {
        Die("the URL argument %s is not understood", argument.c_str());
      }
    }
    rest.resize(question);
  }
  const auto slash = rest.find('/');
  if (slash == std::string::npos) Die("the URL has no path: %s", parts[1].c_str());
  target.host = rest.substr(0, slash) == "localhost" ? "127.0.0.1" : rest.substr(0, slash);
  target.path = rest.substr(slash);
  while (target.path.size() > 1 && target.path.back() == '/') target.path.pop_back();
  return target;
}

}  // namespace

Options ParseOptions(const std::vector<std::string>& arguments) {
  Options o;
  const auto number = [](auto& field) {
    return [&field](const std::string& value) {
      char* end = nullptr;
      const double parsed = std::strtod(value.c_str(), &end);
      if (value.empty() || *end != '\0' || parsed < 0) Die("not a number: %s", value.c_str());
      field = static_cast<std::decay_t<decltype(field)>>(parsed);
    };
  };
  const std::map<std::string, std::function<void(const std::string&)>> known = {
      {"--target", [&](const std::string& value) { o.targets.push_back(ParseTarget(value)); }},
      {"--metrics", [&](const std::string& value) { o.metrics = Split(value, ','); }},
      {"--client", [&](const std::string& value) { o.client = value; }},
      {"--conns", number(o.connections)},
      {"--depth", number(o.depth)},
      {"--reps", number(o.repetitions)},
      {"--secs", number(o.seconds)},
      {"--file-mb", number(o.file_mib)},
      {"--files", number(o.files)},
      {"--dir-entries", number(o.directory_entries)},
      {"--locks", number(o.locks)},
      {"--dircount", number(o.dircount)},
      {"--maxcount", number(o.maxcount)},
      {"--xfer", number(o.transfer)},
      {"--seq-depth", number(o.sequential_depth)},
      {"--lat-samples", number(o.latency_samples)},
  };
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--keep" || arguments[i] == "--prepared") {
      (arguments[i] == "--keep" ? o.keep : o.prepared) = true;
      continue;
    }
    const auto option = known.find(arguments[i]);
    if (option == known.end()) Die("unknown option %s (nfsbench --help lists them)", arguments[i].c_str());
    if (++i == arguments.size()) Die("%s wants a value", option->first.c_str());
    option->second(arguments[i]);
  }
  if (o.targets.empty()) Die("no --target");
  if (o.client != "lean" && o.client != "libnfs") Die("--client is lean or libnfs");
  if (o.connections < 1 || o.depth < 1 || o.repetitions < 1 || o.sequential_depth < 1) {
    Die("--conns, --depth, --reps and --seq-depth are at least 1");
  }
  if (o.metrics.empty()) {
    for (const Metric& metric : AllMetrics()) o.metrics.emplace_back(metric.name);
  }
  for (const auto& name : o.metrics) {
    if (FindMetric(name) == nullptr) Die("unknown metric %s (nfsbench --help lists them)", name.c_str());
  }
  return o;
}

std::string TakeOption(std::vector<std::string>& arguments, const std::string& name, const std::string& fallback) {
  const auto at = std::ranges::find(arguments, name);
  if (at == arguments.end()) return fallback;
  if (at + 1 == arguments.end()) Die("%s wants a value", name.c_str());
  std::string value = *(at + 1);
  arguments.erase(at, at + 2);
  return value;
}

void PrintUsage() {
  std::printf(
      "nfsbench suite --target LABEL,nfs://HOST/EXPORT?nfsport=P&mountport=P&version=3[,SERVER_PID] [--target ...] "
      "[OPTIONS]\n"
      "    Measures every target in one run, the targets taking turns within each repetition, and prints one JSON line "
      "a metric and\n"
      "    target (README.md says what the fields mean).\n"
      "  --metrics A,B,...     of:");
  for (const Metric& metric : AllMetrics()) std::printf(" %s", std::string(metric.name).c_str());
  std::printf(
      "\n  --client lean|libnfs  one send for many calls (lean, the default), or libnfs's raw API\n"
      "  --conns N (2) --depth N (32, calls in flight over all connections) --reps N (3) --secs S (2)\n"
      "  --file-mb N (512) --files N (2000) --dir-entries N (50000) --dircount N --maxcount N (65536)\n"
      "  --locks N (100000, held at a time by the metrics of many locks)\n"
      "  --xfer BYTES (1048576) --seq-depth N (8) --lat-samples N (5000) --keep (leave the files)\n"
      "  --prepared            the files are there (nfsbench prepare): for servers that cannot be written to\n"
      "nfsbench floor [--port P] [--threads N] [--entries N]\n"
      "    A server of constant replies: the ceiling of this machine. Prints `ready nfs=ADDRESS:PORT` when it "
      "listens.\n"
      "nfsbench disk DIR [--secs S]\n"
      "    What the disk under DIR allows: appends of 4 KiB with an fdatasync for each, and for each 64.\n"
      "nfsbench memory create|lookup --target LABEL,URL,SERVER_PID [--files N] [--dirs D (1)] [--conns N] [--depth N]\n"
      "    Makes N files over D folders of the root, or looks up those that are there; the server's largest RSS "
      "meanwhile.\n"
      "nfsbench prepare FOLDER [--file-mb N] [--dir-entries N]\n"
      "    Makes what the metrics that only read need, for --prepared.\n"
      "nfsbench walk --target LABEL,URL[,SERVER_PID]\n"
      "    Lists every directory, as find does: the time and the server's CPU time.\n"
      "nfsbench checkpoint --target LABEL,URL --log FILE [--creators N (64)] [--secs S]\n"
      "    Files per second and latencies with and without a checkpoint under way, which the server's log tells.\n"
      "nfsbench restart --target LABEL,URL --log FILE [--files N] [--dirs D (1000)] [--file-bytes B (1024)] [--reps R] "
      "-- SERVER...\n"
      "    Kills the server with -9, quiet and in a burst of changes: the time from its exec to its first answer.\n");
}

}  // namespace nfsbench
