#include "store/pack/verify.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "store/leases.h"
#include "store/pack/blob_reader.h"
#include "store/pack/blobs.h"
#include "store/pack/closure_walk.h"
#include "store/pack/pace.h"
#include "store/pack/roots.h"
#include "store/pack/scan.h"

namespace strata::store::pack {
namespace {

constexpr std::uint64_t kSavedEvery = 64 << 20;  // bytes, of a scrub's place
constexpr std::size_t kPositionBytes = 32;
constexpr std::string_view kPositionMagic = "STRATASC";

struct Position {
  PackId pack;
  std::uint64_t offset = 0;
};

std::array<std::byte, kPositionBytes> EncodePosition(const Position& position) {
  std::array<std::byte, kPositionBytes> bytes{};
  std::ranges::copy(AsBytes(kPositionMagic), bytes.begin());
  StoreLe(bytes.data() + 8, position.pack.value);
  StoreLe(bytes.data() + 16, position.offset);
  StoreLe(bytes.data() + 28, Crc32c(ByteSpan(bytes).first(28)));
  return bytes;
}

std::optional<Position> DecodePosition(ByteSpan bytes) {
  if (bytes.size() != kPositionBytes || AsText(bytes.first(8)) != kPositionMagic ||
      LoadLe<std::uint32_t>(bytes.data() + 28) != Crc32c(bytes.first(28))) {
    return std::nullopt;
  }
  return Position{PackId(LoadLe<std::uint64_t>(bytes.data() + 8)), LoadLe<std::uint64_t>(bytes.data() + 16)};
}

class Verifier {
 public:
  Verifier(Engine& engine, const VerifyOptions& options)
      : engine_(engine), options_(options), pace_(options.bytes_a_second) {}

  // Reads the packs from `from` on, in the order of their ids.
  Result<void> ReadPacks(const std::optional<Position>& from, const std::function<Result<void>(const Position&)>& at) {
    STRATA_TRY(engine_.catalog().Look());
    std::vector<PackId> packs;
    for (const auto& [id, pack] : engine_.catalog().view()->packs) packs.push_back(id);
    std::ranges::sort(packs);
    for (const PackId id : packs) {
      if (const auto file = engine_.env().Open(engine_.files().PathOf(id), OpenMode::kRead)) {
        STRATA_ASSIGN(const std::uint64_t size, (*file)->Size());
        total_ += size;
      }
    }
    for (const PackId id : packs) {
      if (report_.stopped) return {};
      if (from && id < from->pack) continue;
      STRATA_TRY(ReadPack(id, from && id == from->pack ? from->offset : kPackHeaderBytes, at));
    }
    return NameLost();
  }

  Result<void> WalkNames() {
    if (report_.stopped) return {};
    ClosureWalk walk(engine_, [this](const Problem& problem) { Tell(problem); });
    Result<void> walked;
    const auto step = [this, &walk] {
      return ++steps_ % 1024 != 0 || Step("walk what names reach", walk.directories(), 0);
    };
    STRATA_TRY(ListSound([&](std::string_view name, const Root& root) {
      current_ = "the name " + std::string(name);
      walked = walk.AddRoot(root);
      if (walked) walked = walk.Run(step);
      return walked.has_value();
    }));
    if (walked) {
      STRATA_ASSIGN(const auto leases, ReadLeases(engine_.env(), engine_.layout().leases()));
      for (const LeaseState& lease : leases) {
        if (lease.ended) continue;
        current_ = "the lease " + lease.id;
        if (walked) walked = walk.AddLease(lease);
        if (walked) walked = walk.Run(step);
      }
    }
    current_.clear();
    return report_.stopped ? Result<void>{} : walked;
  }

  VerifyReport report() const { return report_; }

 private:
  struct Hole {
    std::uint64_t begin = 0, end = 0;
    bool at_end = false;
  };

  bool Step(std::string_view doing, std::uint64_t done, std::uint64_t total) {
    if (options_.progress && !options_.progress(doing, done, total)) report_.stopped = true;
    return !report_.stopped;
  }

  void Tell(Problem problem) {
    ++report_.problems;
    if (!current_.empty()) problem.message += " (" + current_ + " reaches it)";
    if (options_.told) options_.told(problem);
  }

  // As RootNodes::List, but names whose files do not check are told.
  Result<void> ListSound(const std::function<bool(std::string_view, const Root&)>& visit) {
    PackRoots roots(engine_);
    STRATA_ASSIGN(auto names, engine_.env().ListDirectory(engine_.layout().roots()));
    std::ranges::sort(names);
    for (const std::string& name : names) {
      const auto root = roots.Get({}, name);
      if (root && *root) {
        if (!visit(name, **root)) return {};
      } else if (!root) {
        Tell({.what = Problem::What::kDamagedName,
              .digest = {},
              .kind = {},
              .pack = {},
              .message = root.error().ToString()});
      }
    }
    return {};
  }

  Result<void> ReadPack(PackId id, std::uint64_t from, const std::function<Result<void>(const Position&)>& at) {
    const auto pack = engine_.files().Open(true, id);
    if (!pack && pack.error().code() == Errc::kNotFound) return {};  // collected meanwhile
    if (!pack && pack.error().code() != Errc::kCorrupt) return Fail(pack.error());
    if (!pack) {
      // Shorter than its header: it was only begun, or cut.
      holes_[id].push_back({0, kPackHeaderBytes, true});
      return {};
    }
    const auto view = engine_.catalog().view();
    const auto known = view->packs.find(id);
    const bool indexed = known != view->packs.end() && known->second.covered > kPackHeaderBytes;
    if ((*pack)->header_damaged && !indexed) {
      report_.torn_bytes += kPackHeaderBytes;
    } else if ((*pack)->header_damaged) {
      Tell({.what = Problem::What::kDamagedPack,
            .digest = {},
            .kind = {},
            .pack = id,
            .begin = 0,
            .end = kPackHeaderBytes,
            .message = (*pack)->path + ": its header does not check; its records are read all the same"});
    }
    ++report_.packs;
    STRATA_ASSIGN(const std::uint64_t size, (*pack)->file->Size());
    PackScan scan(*(*pack)->file, id, from, size, PackScan::Depth::kStored);
    std::uint64_t saved = 0;
    while (true) {
      STRATA_ASSIGN(const PackScan::Found found, scan.Next());
      if (found == PackScan::Found::kEnd) break;
      if (found == PackScan::Found::kDamage) {
        AddDamage(**pack, scan.damage(), size);
        continue;
      }
      STRATA_TRY(ReadRecord(scan.header(), scan.location()));
      const std::uint64_t bytes = scan.header().RecordBytes();
      ++report_.records;
      report_.bytes += bytes;
      if (!Step("read packs", report_.bytes, total_)) break;
      pace_.Spend(bytes);
      saved += bytes;
      if (at && saved >= kSavedEvery) {
        STRATA_TRY(at({id, scan.location().end()}));
        saved = 0;
      }
    }
    return at ? at({id, report_.stopped ? scan.sound_end() : size}) : Result<void>{};
  }

  void AddDamage(const OpenPack& pack, const Damage& damage, std::uint64_t size) {
    const bool whole = damage.header && damage.header->RecordBytes() <= damage.end - damage.begin;
    if (!whole) {
      holes_[pack.header.id].push_back({damage.begin, damage.end, damage.end == size});
      return;
    }
    const Location location{.pack = pack.header.id,
                            .offset = static_cast<std::uint32_t>(damage.begin),
                            .stored = damage.header->stored,
                            .raw = damage.header->raw,
                            .kind = damage.header->kind,
                            .method = damage.header->method};
    engine_.catalog().MarkBad(location);
    TellRecord(damage.header->digest, location, "its stored bytes do not check");
  }

  void TellRecord(const Digest& digest, const Location& location, std::string_view why) {
    Tell({.what = Problem::What::kDamagedRecord,
          .digest = digest,
          .kind = location.kind,
          .pack = location.pack,
          .begin = location.offset,
          .end = location.end(),
          .message = "the " + std::string(KindName(location.kind)) + ' ' + digest.Text() + " at " +
                     std::to_string(location.offset) + " of " + engine_.files().PathOf(location.pack) + ": " +
                     std::string(why)});
  }

  Result<void> ReadRecord(const RecordHeader& header, const Location& location) {
    const auto content = engine_.files().Read(true, header.digest, location);
    if (!content && content.error().code() == Errc::kNotFound) return {};
    if (!content && content.error().code() != Errc::kCorrupt) return Fail(content.error());
    if (!content) {
      engine_.catalog().MarkBad(location);
      Tell({.what = Problem::What::kDamagedRecord,
            .digest = header.digest,
            .kind = header.kind,
            .pack = location.pack,
            .begin = location.offset,
            .end = location.end(),
            .message = std::string(content.error().message())});
      return {};
    }
    STRATA_ASSIGN(const Engine::Places places, engine_.Find({}, ClassOf(header.kind), header.digest, true));
    if (places.empty()) {
      Tell({.what = Problem::What::kDamagedIndex,
            .digest = header.digest,
            .kind = header.kind,
            .pack = location.pack,
            .begin = location.offset,
            .end = location.end(),
            .message = "no index has the " + std::string(KindName(header.kind)) + ' ' + header.digest.Text() +
                       ", which is sound; remove the .index files of " + engine_.layout().packs() +
                       ", which are then made anew"});
    }
    if (header.kind == RecordKind::kList && options_.blobs) return CheckBlob(header.digest, *content);
    return {};
  }

  Result<void> CheckBlob(const Digest& digest, const Content& content) {
    auto list = ParseList(content.span());
    std::string why = list ? std::string() : std::string(list.error().message());
    if (list) {
      const auto reader = ReaderOfList(engine_, digest, *std::move(list));
      Hasher hasher;
      std::uint64_t at = 0;
      while (at < reader->size()) {
        const auto piece = reader->Pin({}, at, reader->size() - at);
        // What is missing or damaged is told by itself.
        if (!piece && (piece.error().code() == Errc::kCorrupt || piece.error().code() == Errc::kNotFound)) return {};
        if (!piece) return Fail(piece.error());
        hasher.Update(piece->bytes);
        at += piece->bytes.size();
        pace_.Spend(piece->bytes.size());
        if (!Step("read packs", report_.bytes, total_)) return {};
      }
      if (hasher.Finish() != digest) why = "its chunks make another blob";
    }
    if (why.empty()) return {};
    Tell({.what = Problem::What::kWrongBlob,
          .digest = digest,
          .kind = RecordKind::kList,
          .pack = {},
          .message = "the blob " + digest.Text() + ": " + why});
    return {};
  }

  // Says of each hole which records the indexes had there.
  Result<void> NameLost() {
    if (holes_.empty()) return {};
    std::map<std::pair<PackId, std::uint64_t>, bool> named;  // by pack and begin of a hole
    STRATA_TRY(VisitLost([&](const IndexEntry& entry, const Hole& hole) {
      named[{entry.location.pack, hole.begin}] = true;
      TellRecord(entry.digest, entry.location, "its header does not check");
    }));
    for (const auto& [id, holes] : holes_) {
      for (const Hole& hole : holes) {
        if (named.contains({id, hole.begin})) continue;
        if (hole.at_end) {
          report_.torn_bytes += hole.end - hole.begin;
        } else {
          Tell({.what = Problem::What::kLostBytes,
                .digest = {},
                .kind = {},
                .pack = id,
                .begin = hole.begin,
                .end = hole.end,
                .message = "bytes " + std::to_string(hole.begin) + " to " + std::to_string(hole.end) + " of " +
                           engine_.files().PathOf(id) + " are no record, and no index says what they were"});
        }
      }
    }
    return {};
  }

  Result<void> VisitLost(const std::function<void(const IndexEntry&, const Hole&)>& visit) {
    const auto view = engine_.catalog().view();
    for (const CatalogView::Index& index : view->indexes) {
      IndexCursor cursor(*index.file);
      while (true) {
        STRATA_ASSIGN(const bool more, cursor.Next());
        if (!more) break;
        const auto holes = holes_.find(cursor.entry().location.pack);
        if (holes == holes_.end()) continue;
        // They are in the order of the pack.
        const std::uint64_t offset = cursor.entry().location.offset;
        const auto after = std::ranges::upper_bound(holes->second, offset, {}, &Hole::begin);
        if (after == holes->second.begin()) continue;
        const Hole& hole = *std::prev(after);
        if (offset < hole.end) visit(cursor.entry(), hole);
      }
    }
    return {};
  }

  Engine& engine_;
  const VerifyOptions& options_;
  Pace pace_;
  VerifyReport report_;
  std::uint64_t total_ = 0;
  std::uint64_t steps_ = 0;
  std::string current_;  // what is being walked
  std::map<PackId, std::vector<Hole>> holes_;
};

}  // namespace

Result<VerifyReport> VerifyStore(Engine& engine, const VerifyOptions& options) {
  Verifier verifier(engine, options);
  STRATA_TRY(verifier.ReadPacks(std::nullopt, {}));
  if (options.reached) STRATA_TRY(verifier.WalkNames());
  return verifier.report();
}

Result<VerifyReport> ScrubStore(Engine& engine, const VerifyOptions& options) {
  VerifyOptions reading = options;
  reading.reached = false;
  reading.blobs = false;
  Verifier verifier(engine, reading);
  const std::string path = engine.layout().scrub_position();
  std::optional<Position> from;
  if (const auto content = ReadWholeFile(engine.env(), path, kPositionBytes)) from = DecodePosition(AsBytes(*content));
  const bool keeps = engine.CheckWritable().has_value();
  STRATA_TRY(verifier.ReadPacks(from, [&](const Position& position) -> Result<void> {
    if (!keeps) return {};
    const auto bytes = EncodePosition(position);
    return ReplaceFile(engine.env(), path, AsText(bytes));
  }));
  const VerifyReport report = verifier.report();
  // The next one begins anew.
  if (keeps && !report.stopped) {
    if (auto removed = engine.env().Remove(path); !removed && removed.error().code() != Errc::kNotFound) {
      return Fail(removed.error());
    }
  }
  return report;
}

}  // namespace strata::store::pack
