// A server, its disk, its clients and who looks at it. The invariants that need more than a look are judged here: space
// that comes back, a full disk, an idle server, SIGTERM.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/base/temp_folder.h"
#include "tests/crash/load.h"
#include "tests/e2e/process.h"
#include "tests/soak/bulk.h"
#include "tests/soak/calls.h"
#include "tests/soak/findings.h"
#include "tests/soak/locker.h"
#include "tests/soak/observer.h"
#include "tests/soak/pulse.h"

namespace strata::soak {

struct RigOptions {
  std::string durability = "strict";  // or relaxed
  std::uint64_t seed = 0;
  std::string disk_size = "1g";
  std::string broken = {};  // what watch.c breaks
  double quiet_limit = 10;  // seconds until the journal is as small as it must be, and the server idle
  double idle_seconds = 5;  // that it must then stay so
  double space_limit = 10;  // seconds until a full disk from which files were removed takes others
};

class Rig {
 public:
  explicit Rig(const RigOptions& options);
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  // Mounts the disk; in words, why that is not possible.
  std::string Mount();
  // The first start; the clients connect. In words, what failed.
  std::string Prepare();

  // The bulk clients work, beside the small files' client, and the server is killed or ended every `every` seconds (0:
  // never).
  void Phase(const std::function<void(Bulk&)>& work, double every);
  // Nobody asks for anything: the journal shrinks, and then nothing is done.
  void Quiet(const std::string& when);
  // The disk is filled, and emptied by those who filled it: the oldest files first, or any. Not again once it had to be
  // made larger.
  void FillAndEmpty(bool oldest);
  // The death of the server, and its next life.
  void EndAndStart(int signal);
  // The end: everything is read, the server ends, the workspace is checked. In words, what was wrong.
  std::string Finish();

  Findings& findings() { return findings_; }
  // Of all servers so far.
  const std::string& errors() const { return errors_; }
  // One line: what was done and seen.
  std::string Figures() const;

 private:
  bool Start();
  void End(int signal);
  void StartAgain();
  void RunLoad(const std::atomic<bool>& over);
  crash::Load::Outcome ResumeLoad();
  std::uint64_t Lives() const;
  void GrowDisk();
  std::string LastError() const;

  const RigOptions options_;
  const bool relaxed_;
  TempFolder folder_;
  const std::string layer_ = folder_ / "layer", disk_ = folder_ / "disk", workspace_ = disk_ + "/workspace";
  const std::string journal_ = workspace_ + "/journal";
  const double began_ = Now();
  bool mounted_ = false, grown_ = false;
  std::string before_, errors_;
  std::mt19937_64 random_;
  Findings findings_;
  Pulse pulse_;
  Calls calls_{findings_, pulse_};
  std::unique_ptr<Observer> observer_;
  std::unique_ptr<e2e::ServedProcess> served_;
  std::atomic<std::uint16_t> port_ = 0;  // 0 while it is down
  std::uint16_t last_port_ = 0;
  std::atomic<double> crashed_ = 0;
  std::atomic<std::uint64_t> lives_ = 0, load_life_ = 0;  // of the server; and the one that the load has resumed in
  std::unique_ptr<crash::Load> load_;
  std::vector<std::unique_ptr<Bulk>> bulks_;
  Locker locker_{options_.seed, [this] { return port_.load(); }, findings_, pulse_};
  std::uint64_t removals_refused_ = 0, fills_ = 0, kills_ = 0, ends_ = 0;
  double longest_end_ = 0, longest_space_ = 0, longest_quiet_ = 0, idle_cpu_ = 0, idle_reads_ = 0;
};

}  // namespace strata::soak
