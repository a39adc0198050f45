#include "tests/crash/guest.h"

#include <poll.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>

#include "tests/e2e/service.h"

namespace strata::crash {

namespace fs = std::filesystem;

Guest::Guest(std::string folder, const std::string& layer) : folder_(std::move(folder)) {
  fs::create_directories(folder_ + "/root");
  fs::copy(layer, folder_ + "/root/layer", fs::copy_options::recursive);
  e2e::WriteHostFile(folder_ + "/disk", "");
  fs::resize_file(folder_ + "/disk", std::uintmax_t{4} << 30);  // it takes what is written to it
  const e2e::Finished made =
      e2e::Run({"/sbin/mke2fs", "-q", "-t", "ext4", "-F", "-d", folder_ + "/root", folder_ + "/disk"});
  has_disk_ = made.status == 0;
  said_ = made.errors;
}

void Guest::Spawn(const GuestOptions& options) {
  const std::string libraries = "LD_LIBRARY_PATH=/hostroot/usr/lib/x86_64-linux-gnu:/hostroot/usr/local/lib ";
  std::string inside = "mkdir -p /disk\n";
  if (options.writes_early) {
    inside += "echo 5 >/proc/sys/vm/dirty_writeback_centisecs; echo 2 >/proc/sys/vm/dirty_expire_centisecs\n";
  }
  inside += "mount -t ext4 /dev/ubdb /disk || exit\n";
  std::string serve = libraries;
  if (!options.syncs) serve += "LD_PRELOAD=/hostroot" STRATA_NO_SYNC " ";
  serve += "/hostroot" STRATA_PROGRAM " serve /disk/layer --workspace /disk/workspace --listen 0.0.0.0:" +
           std::to_string(kPort) +
           " --allow 10.77.0.0/16 --no-root-squash --insecure-ports --portmap off --durability " + options.durability;
  if (options.kills) {  // mostly some time after it is ready, else while it starts
    inside += "while :; do exec 7< <(exec env " + serve + "); server=$!\n" +
              "[ $((RANDOM % 5)) = 0 ] || read -r -t 30 ready <&7; sleep $((RANDOM % 2)).$((100 + RANDOM % 900))\n" +
              "kill -9 $server; wait $server; exec 7<&-; done\n";
  } else {
    inside += serve + "\n";
  }
  inside += "echo \"the server ended with status $?\"; kill -9 $PPID\n";  // of guest.sh's job: no need to wait on
  const std::string pid_file = folder_ + "/pid";
  fs::remove(pid_file);
  process_ = std::make_unique<e2e::Process>(
      std::vector<std::string>{STRATA_GUEST, std::to_string(kPort), "echo listening; sleep 1000"},
      std::map<std::string, std::string>{{"INSIDE", inside},
                                         {"DISK", folder_ + "/disk"},
                                         {"PIDFILE", pid_file},
                                         {"MEMORY", "320M"},
                                         {"LIMIT", "300"}});
}

void Guest::BootAndCut(const GuestOptions& options, double seconds) {
  Spawn(options);
  for (double passed = 0; passed < 10 && !fs::exists(folder_ + "/pid"); passed += 0.005) ::poll(nullptr, 0, 5);
  ::poll(nullptr, 0, static_cast<int>(seconds * 1000));  // not to wait for anything: any moment will do
  Cut();
}

bool Guest::Boot(const GuestOptions& options) {
  Spawn(options);
  if (process_->ReadLine() == "listening") return true;
  Cut();
  return false;
}

void Guest::Cut() {
  const int group = std::atoi(e2e::ReadHostFile(folder_ + "/pid").c_str());
  if (group > 1) ::kill(-group, SIGKILL);
  process_->Wait();
  said_ = process_->output() + process_->errors();
  process_.reset();
}

}  // namespace strata::crash
