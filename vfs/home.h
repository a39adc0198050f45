// Home: the folder of a volume that has no workspace, a tree that is served as it is. It keeps what must be the same
// each time the volume is served (docs/formats/home.md). Servers that stand in for one another share it, so that
// handles of one are those of the other.
//
//   home.json            which volume it is of, and its keys
//   home.lock            held while home.json is made
//   lock-clients.json    which clients have locks (docs/formats/locks.md)
//   lock-clients.lock    held by the server that keeps them there
//   all else             belongs to the volume's kind
//
// The folder of `strata serve --state` is of the same form. Of a workspace, whose keys are its own, it has no
// home.json.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "vfs/volume_keys.h"

namespace strata::vfs {

struct Home {
  std::string spec;  // the text that names the volume (vfs/layer/spec.h)
  VolumeKeys keys;
  friend bool operator==(const Home&, const Home&) = default;
};

inline std::string HomeFilePath(const std::string& folder) { return folder + "/home.json"; }

// The keys of the volume `spec` in its home `folder`. The folder (whose parent must exist) and the keys are made at the
// first use, the folder with mode 0700, its files with 0600. Several processes may do so at once: all get the same.
// kInvalid where it is the home of another volume, kCorrupt where home.json is damaged: it is never made anew, since
// all handles would be stale then.
Result<VolumeKeys> OpenHome(Env& env, const std::string& folder, const std::string& spec);

// Makes the folder, if there is none, and takes its lock-clients.lock, until the File is destroyed. kBusy while another
// server keeps there which clients have locks.
Result<std::unique_ptr<File>> LockStateFolder(Env& env, const std::string& folder);

// The text of home.json and back; `file` is for the message. kCorrupt for a text that is none of ours, kNotSupported
// for one of a newer version.
std::string FormatHome(const Home& home);
Result<Home> ParseHome(std::string_view text, const std::string& file);

}  // namespace strata::vfs
