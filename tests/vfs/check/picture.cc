#include "tests/vfs/check/picture.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>

namespace strata::vfs::testing {
namespace fs = std::filesystem;

Picture TakePicture(const std::string& folder) {
  Picture picture;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    picture[fs::relative(entry.path(), folder).string()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return picture;
}

void PutPicture(const std::string& folder, const Picture& picture) {
  fs::remove_all(folder);
  fs::create_directories(folder + "/journal");
  for (const auto& [name, content] : picture) {
    std::ofstream out(folder + "/" + name, std::ios::binary);
    out << content;
  }
}

Shown ShownBy(FileSystem& file_system) {
  struct Holder : FileSystemHolder {
    explicit Holder(FileSystem& held) : held(held) {}
    FileSystem& fs() override { return held; }
    FileSystem& held;
  } holder(file_system);
  Client client(holder);
  Shown shown;
  std::function<void(const std::string&, const ObjectId&)> visit = [&](const std::string& path, const ObjectId& id) {
    std::string& words = shown[path];
    auto attributes = client.Get(id);
    if (!attributes) {
      words = kUnreadable;
      return;
    }
    words = "type " + std::to_string(static_cast<int>(attributes->type)) + " mode " + std::to_string(attributes->mode) +
            " owner " + std::to_string(attributes->uid) + " links " + std::to_string(attributes->nlink) + " ino " +
            std::to_string(attributes->ino.value) + " mtime " + std::to_string(attributes->mtime.ns) + " ctime " +
            std::to_string(attributes->ctime.ns);
    if (attributes->type == FileType::kRegular) {
      auto data = client.ReadAll(id);
      words += data ? " data " + *data : " " + std::string(kUnreadable);
    } else if (attributes->type == FileType::kSymlink) {
      words += " to " + client.ReadLink(id).value_or(kUnreadable);
    } else if (attributes->type == FileType::kDirectory) {
      auto page = client.ListPage(id, Cookie(0), 1000, false);
      if (!page) {
        words += " " + std::string(kUnreadable);
        return;
      }
      for (const Listed& one : page->entries) {
        if (one.name == "." || one.name == "..") continue;
        auto found = client.Lookup(id, one.name);
        if (found) {
          visit(path + "/" + one.name, found->id);
        } else {
          shown[path + "/" + one.name] = kUnreadable;
        }
      }
    }
  };
  visit("", file_system.Root());
  return shown;
}

bool AgreesWith(const Shown& shown, const Shown& truth, std::string* why) {
  std::vector<std::string> unknown;  // beneath these nothing can be told
  for (const auto& [path, words] : shown) {
    const auto at = truth.find(path);
    if (at == truth.end()) {
      *why = path + " is shown and must not be";
      return false;
    }
    std::size_t cut = words.find(kUnreadable);
    if (cut != std::string::npos && cut > 0) --cut;  // the blank before it
    if (cut == std::string::npos ? words != at->second : !at->second.starts_with(words.substr(0, cut))) {
      *why = path + " is shown as [" + words + "] and is [" + at->second + "]";
      return false;
    }
    if (cut != std::string::npos) unknown.push_back(path + "/");
  }
  for (const auto& [path, words] : truth) {
    bool excused = shown.contains(path);
    for (const std::string& prefix : unknown) excused = excused || path.starts_with(prefix);
    if (!excused) {
      *why = path + " is not shown";
      return false;
    }
  }
  return true;
}

struct LogKeeper::State : spdlog::sinks::base_sink<std::mutex> {
  std::vector<std::string> Lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  void Clear() {
    const std::lock_guard lock(mutex_);
    lines_.clear();
  }
  std::shared_ptr<spdlog::logger> before;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (message.level >= spdlog::level::warn) lines_.emplace_back(message.payload.begin(), message.payload.end());
  }
  void flush_() override {}

 private:
  std::vector<std::string> lines_;
};

LogKeeper::LogKeeper() : state_(std::make_shared<State>()) {
  state_->before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("kept", state_));
}
LogKeeper::~LogKeeper() { spdlog::set_default_logger(state_->before); }
std::vector<std::string> LogKeeper::Lines() const { return state_->Lines(); }
void LogKeeper::Clear() { state_->Clear(); }

WorkspaceOptions SmallOptions() {
  WorkspaceOptions options;
  options.memory_bytes = 4 << 20;
  options.checkpoint_bytes = ~0ULL;
  options.checkpoint_records = ~0ULL;
  return options;
}

History::History(std::uint64_t segment_size)
    : path_(temp_.path() + "/workspace"), layer_{DirNode("d"),
                                                 FileNode("d/kept", Pattern(700, 1)),
                                                 FileNode("d/gone", "gone"),
                                                 FileNode("over", Pattern(900, 2)),
                                                 DirNode("moved"),
                                                 FileNode("moved/within", "within")} {
  const std::string none = temp_.path() + "/no layer";
  fs::create_directory(none);
  EXPECT_OK(InitWorkspace(Env::System(), path_, {{.path = none, .markers = {}}}, segment_size));
}

Result<std::unique_ptr<Workspace>> History::Open(const WorkspaceOptions& options) const {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(MakeLayer(layer_));
  return Workspace::OpenOver(Env::System(), path_, std::move(layers), options);
}
Result<std::unique_ptr<Workspace>> History::Open() const { return Open(SmallOptions()); }

Result<CheckReport> History::Check(bool repair) const {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(MakeLayer(layer_));
  CheckOptions options;
  options.repair = repair;
  options.memory_bytes = 4 << 20;
  return CheckWorkspaceOver(Env::System(), path_, std::move(layers), options);
}

void History::Live(bool killed) {
  struct Holder : FileSystemHolder {
    FileSystem& fs() override { return *workspace; }
    std::unique_ptr<Workspace> workspace;
  } holder;
  auto opened = Open();
  ASSERT_OK(opened);
  holder.workspace = std::move(*opened);
  Client client(holder);
  const auto note = [&] { states_.push_back(ShownBy(*holder.workspace)); };
  note();
  const std::vector<std::function<void()>> first{
      [&] { EXPECT_OK(client.MakeFile("made")); },
      [&] { EXPECT_OK(client.Write(client.IdOf("made"), 0, Pattern(1500, 3), Stability::kFileSync)); },
      [&] { EXPECT_OK(client.Mkdir("new")); },
      [&] { EXPECT_OK(client.Symlink("made", "new/link")); },
      [&] { EXPECT_OK(client.LinkAt("made", "new/hard")); },
      [&] { EXPECT_OK(client.Write(client.IdOf("over"), 100, Pattern(300, 4), Stability::kFileSync)); },
      [&] { EXPECT_OK(client.Unlink("d/gone")); },
  };
  const std::vector<std::function<void()>> second{
      [&] { EXPECT_OK(client.RenameAt("moved", "new/moved")); },
      [&] { EXPECT_OK(client.Chmod("d/kept", 0600)); },
      [&] { EXPECT_OK(client.MakeNode(client.Root(), "pipe", FileType::kFifo, {})); },
      [&] { EXPECT_OK(client.Truncate("made", 1000)); },
      [&] { EXPECT_OK(client.Write(client.IdOf("made"), 200, Pattern(600, 5), Stability::kFileSync)); },
      [&] { EXPECT_OK(client.Mkdir("short")); },
      [&] { EXPECT_OK(client.Rmdir("short")); },
      [&] { EXPECT_OK(client.MakeFile("last")); },
      [&] { EXPECT_OK(client.Write(client.IdOf("last"), 0, Pattern(2500, 6), Stability::kFileSync)); },
      [&] { EXPECT_OK(client.Write(client.IdOf("last"), 2500, Pattern(2500, 7), Stability::kFileSync)); },
      [&] { EXPECT_OK(client.Chmod("last", 0640)); },
      [&] { EXPECT_OK(client.RenameAt("last", "d/last")); },
  };
  for (const auto& step : first) step(), note();
  ASSERT_OK(holder.workspace->Checkpoint());
  if (!killed) {
    for (const auto& step : second) step(), note();
    return;
  }
  // One who looks keeps the log from being brought into the index's file.
  WorkspaceOptions looking = SmallOptions();
  looking.read_only = true;
  auto beside = Open(looking);
  ASSERT_OK(beside);
  std::size_t done = 0;
  for (const auto& step : second) {
    step(), note();
    if (++done == 5) {
      EXPECT_OK(holder.workspace->Checkpoint());
    }
  }
  const Picture picture = TakePicture(path_);
  beside->reset();
  holder.workspace.reset();
  PutPicture(path_, picture);
  EXPECT_FALSE(picture.at("index.db-wal").empty());
}

}  // namespace strata::vfs::testing
