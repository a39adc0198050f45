// VolumeKeys: what makes a volume that volume to its clients. Drawn when the volume is made, and kept for ever.
#pragma once

#include <cstdint>

#include "base/env.h"
#include "base/hash.h"

namespace strata::vfs {

struct VolumeKeys {
  std::uint64_t volume_id = 0;
  SipHashKey handle_key{};  // of handles' MACs: secret
  SipHashKey name_key{};    // of directory order
  friend bool operator==(const VolumeKeys&, const VolumeKeys&) = default;
};

VolumeKeys NewVolumeKeys(Env& env);

}  // namespace strata::vfs
