#include "store/compression.h"

#include <zstd.h>

#include <string>
#include <utility>

namespace strata::store {
namespace {

constexpr int kZstdLevel = 3;
constexpr std::size_t kIdleContexts = 8;      // a MiB or two each
constexpr std::size_t kLeastCompressed = 64;  // bytes; a frame has a dozen of its own

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

struct Compression::Contexts {
  std::unique_ptr<ZSTD_CCtx, FreeZstd> compressing;
  std::unique_ptr<ZSTD_DCtx, FreeZstd> expanding;
};

class Compression::Lease {
 public:
  explicit Lease(Compression& owner) : owner_(owner), contexts_(owner.Take()) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() { owner_.GiveBack(std::move(contexts_)); }

  // Null where there is no memory for one.
  ZSTD_CCtx* compressing() {
    if (!contexts_->compressing) contexts_->compressing.reset(ZSTD_createCCtx());
    return contexts_->compressing.get();
  }
  ZSTD_DCtx* expanding() {
    if (!contexts_->expanding) contexts_->expanding.reset(ZSTD_createDCtx());
    return contexts_->expanding.get();
  }

 private:
  Compression& owner_;
  std::unique_ptr<Contexts> contexts_;
};

Compression::Compression() = default;
Compression::~Compression() = default;

std::unique_ptr<Compression::Contexts> Compression::Take() {
  const MutexLock lock(mutex_);
  if (idle_.empty()) return std::make_unique<Contexts>();
  auto contexts = std::move(idle_.back());
  idle_.pop_back();
  return contexts;
}

void Compression::GiveBack(std::unique_ptr<Contexts> contexts) {
  const MutexLock lock(mutex_);
  if (idle_.size() < kIdleContexts) idle_.push_back(std::move(contexts));
}

bool Compression::Compress(ByteSpan raw, std::vector<std::byte>& out) {
  if (raw.size() < kLeastCompressed) return false;
  Lease lease(*this);
  if (lease.compressing() == nullptr) return false;
  // No more room than is of use: zstd gives up once it is full.
  out.resize(raw.size() - raw.size() / 16);
  const std::size_t size =
      ZSTD_compressCCtx(lease.compressing(), out.data(), out.size(), raw.data(), raw.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) return false;
  out.resize(size);
  return true;
}

Result<void> Compression::Decompress(ByteSpan frame, MutableByteSpan out) {
  const unsigned long long claimed = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (claimed != out.size()) return Fail(Errc::kCorrupt, "a zstd frame of another size than is expected");
  Lease lease(*this);
  if (lease.expanding() == nullptr) return Fail(Errc::kIo, "no memory to decompress in");
  const std::size_t size = ZSTD_decompressDCtx(lease.expanding(), out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) != 0) {
    return Fail(Errc::kCorrupt, std::string("a zstd frame cannot be decompressed: ") + ZSTD_getErrorName(size));
  }
  if (size != out.size()) return Fail(Errc::kCorrupt, "a zstd frame gives fewer bytes than it says");
  return {};
}

}  // namespace strata::store
