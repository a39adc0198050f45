#include "vfs/home.h"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "vfs/volume_keys_json.h"

namespace strata::vfs {
namespace {

constexpr int kHomeVersion = 1;
constexpr std::size_t kMaxHomeBytes = 1 << 20;
// For another process to be done with making it, which takes a sync or two.
constexpr std::int64_t kMakingLimitNs = 10'000'000'000;
constexpr std::chrono::milliseconds kMakingRetry(5);

std::string HowToGo(const std::string& folder) {
  return "; make " + folder + " readable and writable for this user, or name another folder with --state";
}

// Nothing: there is no home.json yet.
Result<std::optional<Home>> LoadHome(Env& env, const std::string& folder) {
  const std::string file = HomeFilePath(folder);
  const auto text = ReadWholeFile(env, file, kMaxHomeBytes);
  if (!text && text.error().code() == Errc::kNotFound) return std::nullopt;
  if (!text) {
    return Fail(text.error().code(), "reading " + file + ": " + std::string(text.error().message()) + HowToGo(folder));
  }
  return ParseHome(*text, file);
}

Result<VolumeKeys> KeysOf(const Home& home, const std::string& folder, const std::string& spec) {
  if (home.spec == spec) return home.keys;
  return Fail(Errc::kInvalid,
              folder + " is the home of " + home.spec + ", not of " + spec + "; name another folder with --state");
}

Result<void> MakeFolder(Env& env, const std::string& folder) {
  const auto made = env.CreateDirectory(folder);
  if (made) return {};
  return Fail(made.error().code(),
              "making the folder " + folder + ": " + std::string(made.error().message()) + HowToGo(folder));
}

// A lock of the folder: nothing while another process holds it.
Result<std::unique_ptr<File>> TryLock(Env& env, const std::string& file, const std::string& folder) {
  auto opened = env.Open(file, OpenMode::kCreate);
  auto locked = opened ? (*opened)->Lock() : Result<void>(Fail(opened.error()));
  if (locked) return std::move(*opened);
  const Errc code = locked.error().code();
  if (opened && (code == Errc::kBusy || code == Errc::kWouldBlock)) return nullptr;
  return Fail(code, "locking " + file + ": " + std::string(locked.error().message()) + HowToGo(folder));
}

}  // namespace

std::string FormatHome(const Home& home) {
  nlohmann::json document;
  document["format"] = "strata home";
  document["version"] = kHomeVersion;
  document["spec"] = home.spec;
  AddKeys(document, home.keys);
  return document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<Home> ParseHome(std::string_view text, const std::string& file) {
  try {
    const nlohmann::json document = nlohmann::json::parse(text);
    if (document.at("format") != "strata home") throw std::invalid_argument("not a strata home");
    const std::int64_t version = VersionIn(document);
    if (version > kHomeVersion) {
      return Fail(Errc::kNotSupported, file + " was made by a newer version of strata; use that one");
    }
    if (version != kHomeVersion) throw std::invalid_argument("there is no version " + std::to_string(version));
    return Home{.spec = document.at("spec").get<std::string>(), .keys = KeysIn(document)};
  } catch (const std::exception& error) {
    return Fail(Errc::kCorrupt, file + " does not parse (" + error.what() +
                                    "); restore it from a backup, or remove it: clients then have to mount anew");
  }
}

Result<VolumeKeys> OpenHome(Env& env, const std::string& folder, const std::string& spec) {
  const std::int64_t deadline = env.MonotonicNs() + kMakingLimitNs;
  for (bool made = false;; std::this_thread::sleep_for(kMakingRetry)) {
    STRATA_ASSIGN(const std::optional<Home> there, LoadHome(env, folder));
    if (there) return KeysOf(*there, folder, spec);
    if (!std::exchange(made, true)) STRATA_TRY(MakeFolder(env, folder));
    STRATA_ASSIGN(const std::unique_ptr<File> lock, TryLock(env, folder + "/home.lock", folder));
    if (lock) {
      // Another process may have been at it until now.
      STRATA_ASSIGN(const std::optional<Home> meanwhile, LoadHome(env, folder));
      if (meanwhile) return KeysOf(*meanwhile, folder, spec);
      const Home fresh{.spec = spec, .keys = NewVolumeKeys(env)};
      auto written = ReplaceFile(env, HomeFilePath(folder), FormatHome(fresh));
      // The folder's own name, too, must be there after a power cut: with other keys all handles were stale.
      if (written) written = env.SyncDirectory(DirectoryOf(folder));
      if (written) return fresh.keys;
      return Fail(written.error().code(),
                  "writing " + HomeFilePath(folder) + ": " + std::string(written.error().message()) + HowToGo(folder));
    }
    if (env.MonotonicNs() > deadline) {
      return Fail(Errc::kBusy, folder + " is being made by another process, which does not end; end that one");
    }
  }
}

Result<std::unique_ptr<File>> LockStateFolder(Env& env, const std::string& folder) {
  STRATA_TRY(MakeFolder(env, folder));
  STRATA_ASSIGN(std::unique_ptr<File> lock, TryLock(env, folder + "/lock-clients.lock", folder));
  if (lock) return lock;
  return Fail(Errc::kBusy, "another server keeps in " + folder +
                               " which of its clients have locks; end that one, or name another folder with --state");
}

}  // namespace strata::vfs
