#include "store/objects/zstd.h"

#include <zstd.h>

#include <algorithm>
#include <string>
#include <utility>

namespace strata::store {
namespace {

constexpr int kLevel = 3;
// Level 22 asks for a window of so much. It is taken when a frame asks, and costs memory only as content comes.
constexpr int kMostWindowLog = 27;
constexpr std::size_t kFirstGuess = 64 << 10;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Compressor = std::unique_ptr<ZSTD_CCtx, FreeContext>;
using Decompressor = std::unique_ptr<ZSTD_DCtx, FreeContext>;

std::unexpected<Status> NoMemory() { return Fail(Errc::kIo, "zstd: no memory for a context"); }
std::unexpected<Status> NotZstd(std::string_view why) {
  return Fail(Errc::kCorrupt, "its bytes are not what was compressed: " + std::string(why));
}

// Of a frame that does not say how long its content is.
Result<std::vector<std::byte>> DecompressUnknown(ZSTD_DCtx& context, ByteSpan compressed, std::size_t limit) {
  std::vector<std::byte> content(std::min(limit + 1, std::max(kFirstGuess, 2 * compressed.size())));
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  for (std::size_t done = 0;;) {
    ZSTD_outBuffer out{content.data(), content.size(), done};
    const std::size_t rest = ZSTD_decompressStream(&context, &out, &in);
    if (ZSTD_isError(rest) != 0) return NotZstd(ZSTD_getErrorName(rest));
    if (out.pos > limit) return NotZstd("there are more than " + std::to_string(limit) + " bytes");
    if (rest == 0) {
      if (in.pos < in.size) return NotZstd("something follows their end");
      content.resize(out.pos);
      return content;
    }
    if (out.pos < out.size && in.pos == in.size) return NotZstd("they end too early");
    done = out.pos;
    if (out.pos == out.size) content.resize(std::min(limit + 1, 2 * content.size()));
  }
}

}  // namespace

Result<std::vector<std::byte>> ZstdCompress(ByteSpan bytes) {
  std::vector<std::byte> compressed(ZSTD_compressBound(bytes.size()));
  const Compressor context(ZSTD_createCCtx());
  if (!context) return NoMemory();
  const std::size_t size =
      ZSTD_compressCCtx(context.get(), compressed.data(), compressed.size(), bytes.data(), bytes.size(), kLevel);
  if (ZSTD_isError(size) != 0) return Fail(Errc::kIo, std::string("zstd: ") + ZSTD_getErrorName(size));
  compressed.resize(size);
  compressed.shrink_to_fit();
  return compressed;
}

Result<std::vector<std::byte>> ZstdDecompress(ByteSpan compressed, std::size_t limit) {
  const unsigned long long size = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  if (size == ZSTD_CONTENTSIZE_ERROR) return NotZstd("there is no zstd frame");
  const std::size_t frame = ZSTD_findFrameCompressedSize(compressed.data(), compressed.size());
  if (ZSTD_isError(frame) != 0) return NotZstd(ZSTD_getErrorName(frame));
  if (frame != compressed.size()) return NotZstd("something follows their end");
  const Decompressor context(ZSTD_createDCtx());
  if (!context) return NoMemory();
  if (size == ZSTD_CONTENTSIZE_UNKNOWN) {
    if (ZSTD_isError(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMostWindowLog)) != 0) {
      return NoMemory();
    }
    return DecompressUnknown(*context, compressed, limit);
  }
  if (size > limit) return NotZstd("there are more than " + std::to_string(limit) + " bytes");
  std::vector<std::byte> content(size);
  const std::size_t got =
      ZSTD_decompressDCtx(context.get(), content.data(), content.size(), compressed.data(), compressed.size());
  if (ZSTD_isError(got) != 0) return NotZstd(ZSTD_getErrorName(got));
  content.resize(got);
  return content;
}

std::optional<std::uint64_t> ZstdContentSize(ByteSpan beginning) {
  const unsigned long long size = ZSTD_getFrameContentSize(beginning.data(), beginning.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) return std::nullopt;
  return size;
}

struct ZstdObjectWriter::State {
  std::unique_ptr<ObjectWriter> object;
  Compressor context{ZSTD_createCCtx()};
  std::vector<std::byte> buffer = std::vector<std::byte>(ZSTD_CStreamOutSize());
};

ZstdObjectWriter::ZstdObjectWriter(std::unique_ptr<ObjectWriter> object) : state_(std::make_unique<State>()) {
  state_->object = std::move(object);
  if (state_->context) (void)ZSTD_CCtx_setParameter(state_->context.get(), ZSTD_c_compressionLevel, kLevel);
}
ZstdObjectWriter::~ZstdObjectWriter() = default;

Result<void> ZstdObjectWriter::Run(ByteSpan bytes, bool end) {
  if (!state_->context) return NoMemory();
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (bool done = false; !done;) {
    ZSTD_outBuffer out{state_->buffer.data(), state_->buffer.size(), 0};
    const std::size_t rest = ZSTD_compressStream2(state_->context.get(), &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(rest) != 0) return Fail(Errc::kIo, std::string("zstd: ") + ZSTD_getErrorName(rest));
    if (out.pos > 0) STRATA_TRY(state_->object->Write(ByteSpan(state_->buffer).first(out.pos)));
    done = end ? rest == 0 : in.pos == in.size;
  }
  return {};
}

Result<void> ZstdObjectWriter::Write(ByteSpan bytes) { return Run(bytes, false); }

Result<void> ZstdObjectWriter::Close() {
  STRATA_TRY(Run({}, true));
  return state_->object->Close();
}

struct ZstdObjectReader::State {
  std::unique_ptr<ObjectReader> object;
  std::uint64_t offset = 0;  // in the object, of what is read next
  Decompressor context{ZSTD_createDCtx()};
  std::vector<std::byte> buffer = std::vector<std::byte>(ZSTD_DStreamInSize());
  ZSTD_inBuffer in{buffer.data(), 0, 0};
  bool ended = false;
};

ZstdObjectReader::ZstdObjectReader(std::unique_ptr<ObjectReader> object) : state_(std::make_unique<State>()) {
  state_->object = std::move(object);
  if (state_->context) (void)ZSTD_DCtx_setParameter(state_->context.get(), ZSTD_d_windowLogMax, kMostWindowLog);
}
ZstdObjectReader::~ZstdObjectReader() = default;

Result<void> ZstdObjectReader::Refill(const Waiting& waiting) {
  STRATA_ASSIGN(const std::size_t got, state_->object->ReadAt(waiting, state_->offset, state_->buffer));
  state_->offset += got;
  state_->in = {state_->buffer.data(), got, 0};
  return {};
}

Result<std::size_t> ZstdObjectReader::Read(const Waiting& waiting, MutableByteSpan out) {
  if (!state_->context) return NoMemory();
  ZSTD_outBuffer place{out.data(), out.size(), 0};
  while (place.pos < place.size && !state_->ended) {
    if (state_->in.pos == state_->in.size) STRATA_TRY(Refill(waiting));
    const bool no_more = state_->in.size == 0;
    const std::size_t before = place.pos;
    const std::size_t rest = ZSTD_decompressStream(state_->context.get(), &place, &state_->in);
    if (ZSTD_isError(rest) != 0) return NotZstd(ZSTD_getErrorName(rest));
    if (rest == 0) {
      state_->ended = true;
      if (state_->in.pos == state_->in.size) STRATA_TRY(Refill(waiting));
      if (state_->in.pos < state_->in.size) return NotZstd("something follows their end");
    } else if (no_more && place.pos == before) {
      return NotZstd("they end too early");
    }
  }
  return place.pos;
}

}  // namespace strata::store
