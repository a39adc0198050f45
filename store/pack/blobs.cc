#include "store/pack/blobs.h"

#include <algorithm>
#include <utility>

#include "store/pack/blob_reader.h"
#include "store/pack/blob_writer.h"

namespace strata::store::pack {
namespace {

enum class Ask : std::uint8_t {
  kIsThere,
  kRelyOn,  // as Engine::Holds
};

// Whether the chunks of a list, and its parts, are all there.
Result<bool> HoldsAll(Engine& engine, const Waiting& waiting, const ListContent& list, Ask ask) {
  const RecordKind kind = list.of_parts ? RecordKind::kListPart : RecordKind::kChunk;
  for (const ChunkMeta& entry : list.entries) {
    bool held = false;
    if (ask == Ask::kRelyOn) {
      STRATA_ASSIGN(held, engine.Holds(waiting, kind, entry.digest));
    } else {
      STRATA_ASSIGN(const Engine::Places places, engine.Find(waiting, PackClass::kData, entry.digest));
      held = std::ranges::any_of(places, [&](const Engine::Place& place) { return place.location.kind == kind; });
    }
    if (!held) return false;
    if (!list.of_parts) continue;
    auto part = ReadListPart(engine, waiting, entry.digest, entry.size);
    if (!part && (part.error().code() == Errc::kCorrupt || part.error().code() == Errc::kNotFound)) return false;
    if (!part) return Fail(part.error());
    STRATA_ASSIGN(const bool all, HoldsAll(engine, waiting, *part, ask));
    if (!all) return false;
  }
  return true;
}

}  // namespace

Result<std::optional<ListContent>> ReadBlobList(Engine& engine, const Waiting& waiting, const Digest& digest) {
  const auto is_whole = [&](const Content& content) -> Result<bool> {
    const auto list = ParseList(content.span());
    if (!list) return false;
    return HoldsAll(engine, waiting, *list, Ask::kIsThere);
  };
  auto content = engine.Read(waiting, RecordKind::kList, digest, Engine::Prefer(is_whole));
  if (!content && content.error().code() == Errc::kNotFound) return std::nullopt;
  if (!content) return Fail(content.error());
  auto list = ParseList(content->span());
  if (!list) return Fail(list.error().WithContext(engine.Describe() + ", the blob " + digest.Text()));
  return *std::move(list);
}

Result<ListContent> ReadListPart(Engine& engine, const Waiting& waiting, const Digest& digest, std::uint64_t size) {
  STRATA_ASSIGN(const Content content, engine.Read(waiting, RecordKind::kListPart, digest));
  auto list = ParseList(content.span());
  if (!list) return Fail(list.error().WithContext(engine.Describe() + ", the part " + digest.Text()));
  if (list->of_parts || list->size != size) {
    return Fail(Errc::kCorrupt,
                engine.Describe() + ": the part " + digest.Text() + " of a chunk list is of another size");
  }
  return list;
}

Result<void> VisitChunks(Engine& engine, const Waiting& waiting, const ListContent& list,
                         const std::function<Result<bool>(const ChunkMeta&)>& visit) {
  for (const ChunkMeta& entry : list.entries) {
    if (!list.of_parts) {
      STRATA_ASSIGN(const bool more, visit(entry));
      if (!more) return {};
      continue;
    }
    STRATA_ASSIGN(const ListContent part, ReadListPart(engine, waiting, entry.digest, entry.size));
    for (const ChunkMeta& chunk : part.entries) {
      STRATA_ASSIGN(const bool more, visit(chunk));
      if (!more) return {};
    }
  }
  return {};
}

Result<bool> PackBlobs::Has(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(const Engine::Places places, engine_.Find(waiting, PackClass::kData, digest));
  bool listed = false;
  for (const Engine::Place& place : places) {
    if (place.location.kind == RecordKind::kChunk) return engine_.Holds(waiting, RecordKind::kChunk, digest);
    listed = listed || place.location.kind == RecordKind::kList;
  }
  if (!listed) return false;
  STRATA_ASSIGN(const bool held, engine_.Holds(waiting, RecordKind::kList, digest));
  if (!held) return false;
  auto list = ReadBlobList(engine_, waiting, digest);
  if (!list && list.error().code() == Errc::kCorrupt) return false;
  if (!list) return Fail(list.error());
  if (!*list) return false;
  return HoldsAll(engine_, waiting, **list, Ask::kRelyOn);
}

Result<std::optional<PackBlobs::Known>> PackBlobs::Look(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(const Engine::Places places, engine_.Find(waiting, PackClass::kData, digest, true));
  bool listed = false;
  for (const Engine::Place& place : places) {
    if (place.location.kind == RecordKind::kChunk) return Known{.chunk = place.location.raw, .list = {}};
    listed = listed || place.location.kind == RecordKind::kList;
  }
  if (!listed) return std::nullopt;
  STRATA_ASSIGN(auto list, ReadBlobList(engine_, waiting, digest));
  if (!list) return std::nullopt;
  // A list may have outlived what it names: a collection removes packs, not blobs. What is there and does not check is
  // for who reads it to be told.
  const RecordKind kind = list->of_parts ? RecordKind::kListPart : RecordKind::kChunk;
  for (const ChunkMeta& entry : list->entries) {
    STRATA_ASSIGN(const Engine::Places there, engine_.Find(waiting, PackClass::kData, entry.digest, true));
    if (std::ranges::none_of(there, [&](const Engine::Place& place) { return place.location.kind == kind; })) {
      return std::nullopt;
    }
  }
  return Known{.chunk = 0, .list = *std::move(list)};
}

Result<std::shared_ptr<BlobReader>> PackBlobs::Open(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(auto known, Look(waiting, digest));
  if (!known) return std::shared_ptr<BlobReader>();
  if (known->list) return ReaderOfList(engine_, digest, *std::move(known->list));
  return ReaderOfChunk(engine_, {digest, known->chunk});
}

Result<std::unique_ptr<BlobWriter>> PackBlobs::Create() {
  STRATA_TRY(engine_.CheckWritable());
  return NewBlobWriter(engine_);
}

Result<Digest> PackBlobs::Put(ByteSpan blob) {
  if (blob.size() > engine_.options().chunker.sizes().least) return BlobService::Put(blob);
  const Digest digest = Digest::Of(blob);
  STRATA_TRY(engine_.Put(RecordKind::kChunk, digest, blob));
  return digest;
}

Result<std::optional<ChunkList>> PackBlobs::Chunks(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(const auto known, Look(waiting, digest));
  if (!known) return std::nullopt;
  ChunkList chunks;
  if (!known->list) return chunks;
  STRATA_TRY(VisitChunks(engine_, waiting, *known->list, [&](const ChunkMeta& chunk) -> Result<bool> {
    chunks.push_back(chunk);
    return true;
  }));
  return chunks;
}

}  // namespace strata::store::pack
