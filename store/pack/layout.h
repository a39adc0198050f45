// The folder of a pack store: where its files lie, what says that it is one, and how processes tell each other that
// something has changed. docs/formats/pack.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"

namespace strata::store::pack {

struct Layout {
  std::string root;

  std::string format() const { return root + "/strata-store"; }
  std::string packs() const { return root + "/packs"; }
  std::string roots() const { return root + "/roots"; }
  std::string leases() const { return root + "/leases"; }
  std::string condemned() const { return root + "/condemned"; }
  std::string temporary() const { return root + "/tmp"; }
  std::string changes() const { return root + "/changes"; }
  std::string gc_lock() const { return root + "/gc.lock"; }
  std::string merge_lock() const { return root + "/merge.lock"; }
  std::string roots_lock() const { return root + "/roots.lock"; }
  std::string scrub_position() const { return root + "/scrub"; }
  // A name in temporary() that nobody else has.
  std::string NewTemporary(Env& env) const;
};

inline constexpr std::uint16_t kStoreVersion = 1;

// What is the same for all who use a store; in its file strata-store.
struct StoreFormat {
  std::uint64_t pack_bytes = 0;  // a pack that has as much is full: nobody appends to it
};
std::array<std::byte, 64> EncodeStoreFormat(const StoreFormat& format);
// kCorrupt, or kNotSupported for a newer version.
Result<StoreFormat> DecodeStoreFormat(ByteSpan bytes);

// Opens the folder of a store. With `create` it is made where there is nothing, folders above it included. kNotFound
// where there is none; kNotEmpty where the folder holds something else.
Result<StoreFormat> OpenLayout(Env& env, const Layout& layout, bool create, const StoreFormat& wanted);

std::uint64_t RandomId(Env& env);

// A number in a file, which whoever changed something puts anew. To look costs one read of eight bytes. Thread-safe.
class ChangeMark {
 public:
  ChangeMark(Env& env, std::string path) : env_(env), path_(std::move(path)) {}

  // Of two that differ, something may have changed between. Where `may_block` is false: kWouldBlock where it is not in
  // memory, kNotFound where nobody could read it before.
  Result<std::uint64_t> Read(bool may_block);
  // The same; where it cannot be read, they always differ.
  std::uint64_t Look();
  // To be called when what was changed can be seen. A failure is of no matter: others see it later.
  void Put();

 private:
  Env& env_;
  const std::string path_;
  Mutex mutex_;
  std::shared_ptr<File> file_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store::pack
