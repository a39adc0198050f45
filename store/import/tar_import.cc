// ImportTar: reads the archive once and in its order, puts its files on several threads, sorts what it says by path
// beyond what memory holds, and makes the directories of that.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "store/castore/names.h"
#include "store/import/archive_links.h"
#include "store/import/attributes_writer.h"
#include "store/import/blob_sink.h"
#include "store/import/import.h"
#include "store/import/record_sorter.h"
#include "store/import/tar_reader.h"
#include "store/import/tree_builder.h"
#include "store/import/tree_record.h"
#include "store/import/work_queue.h"

namespace strata::store {
namespace {

constexpr std::size_t kMostInFlight = 128 << 20;  // CA-46
constexpr std::size_t kBatchBytes = 512 << 10;
constexpr std::size_t kBatchFiles = 64;
constexpr std::chrono::milliseconds kProgressInterval{100};

// A small file of the archive, on its way into the store.
struct ReadFile {
  std::string path;
  std::uint64_t order = 0;
  TreeRecord record;
  std::string content;
};

struct Batch {
  std::vector<ReadFile> files;
  std::size_t bytes = 0;
};

class TarImport {
 public:
  TarImport(Env& env, ImportStore store, ByteSource& source, const ImportOptions& options)
      : store_(store),
        source_(source),
        options_(options),
        reader_(source, options.largest_file),
        sink_(store.blobs),
        entries_(env, options.temporary_folder, options.memory / 4),
        links_(env, options.temporary_folder, options.memory / 8),
        queue_(
            options.jobs, std::min(kMostInFlight, options.memory / 4), [this](Batch& batch) { return PutBatch(batch); },
            [this] { Tick(); }) {
    if (options.keep_metadata) {
      attributes_ = std::make_unique<AttributesWriter>(env, options.temporary_folder, options.memory / 4);
    }
  }

  Result<ImportReport> Run() {
    for (TarEntry entry;;) {
      STRATA_ASSIGN(const bool more, reader_.Next(entry));
      if (!more) break;
      if (auto taken = Take(entry); !taken) return Fail(taken.error());
      Tick();
    }
    STRATA_TRY(PushBatch());
    STRATA_TRY(queue_.Finish());
    STRATA_ASSIGN(const TarReader::End end, reader_.Finish());
    report_.end_missing = !end.marked;
    report_.more_after_end = end.more;
    STRATA_TRY(Build());
    return std::move(report_);
  }

 private:
  Result<void> Take(TarEntry& entry) {
    STRATA_ASSIGN(std::string path, ArchivePath(entry.path));
    const std::uint64_t order = ++order_;
    TreeRecord record;
    record.attributes = std::move(entry.attributes);
    switch (entry.type) {
      case TarType::kFile:
        record.node.executable = (record.attributes.mode & 0100) != 0;
        return TakeFile(entry, {std::move(path), order, std::move(record), {}});
      case TarType::kDirectory:
        record.node.kind = NodeKind::kDirectory;
        break;
      case TarType::kSymlink:
        if (entry.target.empty()) return Fail(Errc::kInvalid, "symlink missing target " + entry.path);
        if (auto valid = CheckSymlinkTarget(entry.target); !valid) {
          return Fail(valid.error().WithContext("the symlink " + QuoteName(entry.path) + " in the archive"));
        }
        record.node = Node::OfSymlink(std::move(entry.target));
        record.attributes.mode = 0777;  // as Linux has it, whatever is set
        break;
      case TarType::kHardLink: {
        if (options_.strict) return Unsupported(entry, "Link");
        STRATA_ASSIGN(record.link, ArchivePath(entry.target));
        record.kind = RecordKind::kLink;
        STRATA_TRY(links_.Add(path, order, record.link));
        break;
      }
      default: {
        STRATA_ASSIGN(const bool kept, TakeSpecial(entry, record));
        if (!kept) return {};
      }
    }
    return AddEntry(path, order, record);
  }

  Result<void> Unsupported(const TarEntry& entry, std::string_view type) {
    return Fail(Errc::kNotSupported,
                "unsupported tar entry " + entry.path + " type: " + std::string(type) +
                    (entry.type == TarType::kHardLink
                         ? "; without --strict it is taken as a second entry"
                         : "; to leave such out: --skip-unsupported; to keep devices and fifos for "
                           "the name: --keep-metadata"));
  }

  // False: it is left out.
  Result<bool> TakeSpecial(const TarEntry& entry, TreeRecord& record) {
    record.kind = RecordKind::kSpecial;
    record.device = entry.device;
    std::string_view type;
    switch (entry.type) {
      case TarType::kCharacterDevice:
        record.type = FileType::kCharacterDevice;
        type = "Char";
        break;
      case TarType::kBlockDevice:
        record.type = FileType::kBlockDevice;
        type = "Block";
        break;
      case TarType::kFifo:
        record.type = FileType::kFifo;
        type = "Fifo";
        break;
      default:
        break;
    }
    const std::string flag = std::string("'") + entry.flag + "'";
    if (type.empty()) type = flag;
    if (options_.strict || (!options_.skip_unsupported && (!attributes_ || entry.type == TarType::kUnknown))) {
      return std::unexpected(Unsupported(entry, type).error());
    }
    if (attributes_ && entry.type != TarType::kUnknown) return true;
    ++report_.skipped;
    if (report_.skipped_names.size() < ImportReport::kMostNames) report_.skipped_names.push_back(entry.path);
    return entry.type != TarType::kUnknown;
  }

  Result<void> TakeFile(const TarEntry& entry, ReadFile file) {
    if (entry.size < kStreamFrom) {
      file.content.resize(entry.size);
      STRATA_TRY(reader_.ReadData(std::as_writable_bytes(std::span(file.content))));
      NoteFile(entry.size);
      batch_.bytes += file.content.size() + file.path.size() + sizeof(ReadFile);
      batch_.files.push_back(std::move(file));
      return batch_.bytes >= kBatchBytes || batch_.files.size() >= kBatchFiles ? PushBatch() : Result<void>{};
    }
    if (buffer_.empty()) buffer_.resize(kStreamFrom);
    STRATA_ASSIGN(const Digest digest, sink_.PutStream([&]() -> Result<ByteSpan> {
      Tick();
      const MutableByteSpan buffer = std::as_writable_bytes(std::span(buffer_));
      STRATA_ASSIGN(const std::size_t got, reader_.ReadData(buffer));
      return buffer.first(got);
    }));
    NoteFile(entry.size);
    file.record.node = Node::OfFile(digest, entry.size, file.record.node.executable);
    return AddEntry(file.path, file.order, file.record);
  }

  Result<void> PushBatch() {
    if (batch_.files.empty()) return {};
    const std::size_t bytes = batch_.bytes;
    return queue_.Push(std::exchange(batch_, Batch()), bytes);
  }

  // On a thread of the queue.
  Result<void> PutBatch(Batch& batch) {
    for (ReadFile& file : batch.files) {
      auto digest = sink_.Put(AsBytes(file.content));
      if (!digest) return Fail(digest.error().WithContext("storing " + QuoteName(ShownPath(file.path))));
      file.record.node = Node::OfFile(*digest, file.content.size(), file.record.node.executable);
      STRATA_TRY(AddEntry(file.path, file.order, file.record));
    }
    return {};
  }

  Result<void> AddEntry(std::string_view path, std::uint64_t order, const TreeRecord& record)
      STRATA_EXCLUDES(entries_mutex_) {
    auto encoded = EncodeTreeRecord(record, attributes_ != nullptr);
    if (!encoded) return Fail(encoded.error().WithContext(QuoteName(ShownPath(path))));
    const MutexLock lock(entries_mutex_);
    return entries_.Add(path, order, *encoded);
  }

  // All has been read, and the queue is done: nobody else adds to the entries.
  Result<void> Build() STRATA_NO_THREAD_SAFETY_ANALYSIS {
    STRATA_TRY(links_.Resolve(entries_));
    STRATA_ASSIGN(const auto putter, store_.directories.PutMany());
    TreeBuilder builder(*putter, options_.sizes, attributes_.get());
    STRATA_ASSIGN(auto entries, entries_.Read());
    STRATA_ASSIGN(auto links, links_.Read());
    for (SortedRecord sorted;;) {
      STRATA_ASSIGN(const bool more, entries->Next(sorted));
      if (!more) break;
      Tick();
      STRATA_ASSIGN(TreeRecord record, DecodeTreeRecord(sorted.payload));
      STRATA_ASSIGN(auto link, links.Find(sorted.key, sorted.order));
      std::string link_key;
      if (link) {
        link_key = std::to_string(link->origin);
        if (link->record) record = *std::move(link->record);
      }
      if (record.kind == RecordKind::kLink) {
        return Fail(Errc::kServerFault, "the hard link " + QuoteName(ShownPath(sorted.key)) + " was not resolved");
      }
      STRATA_TRY(builder.Add(sorted.key, sorted.order, std::move(record), link_key));
    }
    STRATA_ASSIGN(const TreeBuilder::Built built, builder.Finish(options_.strict));
    report_.root = built.root;
    report_.files = builder.counts().files;
    report_.directories = builder.counts().directories;
    report_.symlinks = builder.counts().symlinks;
    report_.top_level = builder.counts().top_level;
    report_.hard_links = links_.count();
    report_.new_blobs = sink_.new_blobs();
    if (attributes_) {
      report_.specials = builder.counts().specials;
      STRATA_ASSIGN(report_.attributes, attributes_->Finish(built.first_number, built.root.digest, store_.blobs));
    }
    STRATA_TRY(store_.blobs.Sync());
    return store_.directories.Sync();
  }

  void NoteFile(std::uint64_t size) {
    ++read_.files;
    read_.bytes += size;
    report_.bytes += size;
  }

  void Tick() {
    if (!options_.progress) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_tick_) return;
    next_tick_ = now + kProgressInterval;
    read_.position = source_.position();
    options_.progress(read_);
  }

  const ImportStore store_;
  ByteSource& source_;
  const ImportOptions& options_;
  TarReader reader_;
  BlobSink sink_;
  ImportReport report_;
  ImportProgress read_;
  std::chrono::steady_clock::time_point next_tick_{};
  std::uint64_t order_ = 0;
  std::vector<char> buffer_;  // for files that are streamed
  Batch batch_;
  std::unique_ptr<AttributesWriter> attributes_;
  Mutex entries_mutex_;
  RecordSorter entries_ STRATA_GUARDED_BY(entries_mutex_);
  ArchiveLinks links_;
  WorkQueue<Batch> queue_;  // last: its threads use the others
};

}  // namespace

Result<ImportReport> ImportTar(Env& env, ImportStore store, ByteSource& source, const std::string& name,
                               const ImportOptions& options) {
  TarImport import(env, store, source, options);
  auto report = import.Run();
  if (!report) return Fail(report.error().WithContext("importing " + name));
  return report;
}

}  // namespace strata::store
