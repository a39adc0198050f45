// The command line of `nfsbench suite`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nfsbench {

// A server to measure: LABEL,URL[,PID].
struct TargetSpec {
  std::string label, host, path;
  int nfs_port = 2049;
  int mount_port = 0;  // 0: port 111 tells
  int pid = 0;         // 0: CPU time and memory are not measured
};

struct Options {
  std::vector<TargetSpec> targets;
  std::vector<std::string> metrics;
  std::string client = "lean";
  int connections = 2;
  std::uint32_t depth = 32;  // calls in flight, over all connections
  int repetitions = 3;
  double seconds = 2;  // of the metrics that run for a time
  std::uint64_t file_mib = 512;
  std::uint32_t files = 2000;  // of the metrics that make or remove a number of objects
  std::uint32_t directory_entries = 50000;
  std::uint32_t locks = 100000;  // held at a time by the metrics of many locks
  std::uint32_t dircount = 65536, maxcount = 65536;
  std::uint32_t transfer = 1u << 20;  // of sequential READ and WRITE, where the server allows it
  std::uint32_t sequential_depth = 8;
  std::uint32_t latency_samples = 5000;
  bool keep = false;
  bool prepared = false;  // what the metrics need is there (prepared.h): nothing is made
};

// Ends the program with a message if they cannot be understood.
Options ParseOptions(const std::vector<std::string>& arguments);
// Takes `NAME VALUE` out of the arguments; `fallback` if it is not there.
std::string TakeOption(std::vector<std::string>& arguments, const std::string& name, const std::string& fallback);
void PrintUsage();

}  // namespace nfsbench
