// Subjects: file systems made ready for a test with the files it asks for, in each of the ways in which they can come
// to be there.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness.h"
#include "tree.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {

// What tests use unless they say otherwise: small segments, and no wait for the disk but where a call asks for it.
WorkspaceOptions TestOptions();

// What `strata diff` and `strata diff --conflicts` tell: "A/added", "M/modified", "D/deleted"; "changed /path" and the
// like.
std::vector<std::string> ChangeLines(Workspace& workspace);
std::vector<std::string> ConflictLines(Workspace& workspace);

class Subject : public FileSystemHolder {
 public:
  // Ends it and opens it anew, as a new process would.
  virtual void Restart() {}
  // The same, but from now on it refuses changes, or no longer.
  virtual void Reopen(bool read_only) = 0;
  // What the subject's kind does between two steps of a test: nothing, a restart, a checkpoint.
  virtual void Pause() {}
};

// A workspace in a temporary folder over layers in memory.
class WorkspaceSubject : public Subject {
 public:
  enum class AtPause { kNothing, kRestart, kCheckpoint };
  // `layers`: highest first.
  WorkspaceSubject(std::vector<Tree> layers, const WorkspaceOptions& options, AtPause at_pause = AtPause::kNothing);
  ~WorkspaceSubject() override;

  FileSystem& fs() override;
  Workspace& workspace();
  void Restart() override { Reopen(options_.read_only); }
  void Reopen(bool read_only) override;
  void Pause() override;
  void Checkpoint();
  // Ends it without opening it again; fs() does.
  void Close() { workspace_.reset(); }
  std::string folder() const { return folder_.path() + "/workspace"; }

 private:
  TempFolder folder_;
  std::vector<Tree> layers_;
  WorkspaceOptions options_;
  AtPause at_pause_;
  std::unique_ptr<Workspace> workspace_;
};

// A workspace over folders of the host, opened as a user opens it. Fails the test if any of them has changed when it
// ends.
class HostSubject : public Subject {
 public:
  // Understands all markers unless told otherwise: BuildHostFolder writes .wh. files. `places`: of each layer, as
  // LayerSpec::at; those that are missing lie at the root.
  explicit HostSubject(std::vector<Tree> layers, const WorkspaceOptions& options = TestOptions(),
                       MarkerStyles markers = {.files = true, .chardev = true, .xattr = true},
                       const std::vector<std::string>& places = {});
  ~HostSubject() override;

  FileSystem& fs() override { return workspace(); }
  Workspace& workspace();
  void Restart() override { Reopen(options_.read_only); }
  void Reopen(bool read_only) override;
  void Close() { workspace_.reset(); }
  void ExpectLowersUntouched();
  // What the upper holds, a line each: "+/new", "~/changed", "-/deleted".
  std::vector<std::string> Changes();
  Lsn JournalEnd() { return workspace().journal_end(); }
  const std::string& layer(std::size_t i) const { return folders_[i]; }
  std::string folder() const { return folder_.path() + "/workspace"; }

 private:
  TempFolder folder_;
  std::vector<std::string> folders_;
  std::vector<std::string> images_;
  WorkspaceOptions options_;
  std::unique_ptr<Workspace> workspace_;
};

// One way in which a test's files come to be there.
struct SubjectKind {
  std::string name;
  std::function<std::unique_ptr<Subject>(const Tree& given)> make;
};
inline void PrintTo(const SubjectKind& kind, std::ostream* out) { *out << kind.name; }
// Every kind that a contract must hold for.
std::vector<SubjectKind> SubjectKinds();

}  // namespace strata::vfs::testing
