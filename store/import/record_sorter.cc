#include "store/import/record_sorter.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/hash.h"

namespace strata::store {

// A sorted sequence of records in a file without a name.
struct SortedRun {
  std::unique_ptr<File> file;
  std::uint64_t size = 0;
};

namespace {

constexpr std::size_t kArenaBlock = 1 << 20;
constexpr std::size_t kRecordOverhead = 24;
constexpr std::size_t kFanIn = 64;           // runs of one level; then they are merged into one of the next
constexpr std::size_t kRunBlock = 64 << 10;  // a run's bytes that have one checksum, and are read at once
constexpr std::size_t kMaxRunBlock = RecordSorter::kMaxRecordBytes + kRunBlock;

// A record in memory: sizes of key and payload (u32 each), the order (u64), key, payload.
constexpr std::size_t kFrameHeadBytes = 16;

SortedRecord RecordIn(const std::byte* at) {
  const auto key_size = LoadLe<std::uint32_t>(at), payload_size = LoadLe<std::uint32_t>(at + 4);
  const char* const text = reinterpret_cast<const char*>(at) + kFrameHeadBytes;
  return {{text, key_size}, LoadLe<std::uint64_t>(at + 8), {text + key_size, payload_size}};
}

bool ComesBefore(const SortedRecord& a, const SortedRecord& b) {
  const int order = a.key.compare(b.key);
  return order != 0 ? order < 0 : a.order < b.order;
}

// ---- runs: blocks of {u32 size, u32 CRC-32C, records}; a record is its key's length in common with the one before in
// the block, the rest of the key, the order and the payload, each with its length as a varint.

void AppendVarint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

bool TakeVarint(ByteReader& in, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = in.Read<std::uint8_t>();
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80) == 0) return in.ok();
  }
  return false;
}

class RunWriter {
 public:
  explicit RunWriter(File& file) : file_(file) {}

  Result<void> Add(const SortedRecord& record) {
    const std::size_t most = std::min(last_key_.size(), record.key.size());
    const auto shared = static_cast<std::size_t>(
        std::mismatch(last_key_.begin(), last_key_.begin() + static_cast<std::ptrdiff_t>(most), record.key.begin())
            .first -
        last_key_.begin());
    AppendVarint(block_, shared);
    AppendVarint(block_, record.key.size() - shared);
    block_.append(record.key, shared);
    AppendVarint(block_, record.order);
    AppendVarint(block_, record.payload.size());
    block_.append(record.payload);
    last_key_.assign(record.key);
    return block_.size() >= kRunBlock ? Flush() : Result<void>{};
  }
  Result<void> Flush() {
    if (block_.empty()) return {};
    std::array<std::byte, 8> head;
    StoreLe(head.data(), static_cast<std::uint32_t>(block_.size()));
    StoreLe(head.data() + 4, Crc32c(AsBytes(block_)));
    const ByteSpan pieces[] = {head, AsBytes(block_)};
    STRATA_TRY(file_.WriteAt(size_, pieces));
    size_ += head.size() + block_.size();
    block_.clear();
    last_key_.clear();
    return {};
  }
  std::uint64_t size() const { return size_; }

 private:
  File& file_;
  std::uint64_t size_ = 0;
  std::string block_, last_key_;
};

Status DamagedRun(const char* what) {
  return Status(Errc::kCorrupt,
                std::string("a temporary file of sorted entries does not give back what was written to it (") + what +
                    "); look after the disk of the temporary folder, or use another one");
}

class RunStream final : public RecordStream {
 public:
  explicit RunStream(std::shared_ptr<SortedRun> run) : run_(std::move(run)) {}

  Result<bool> Next(SortedRecord& record) override {
    if (rest_.remaining() == 0) {
      if (position_ == run_->size) return false;
      STRATA_TRY(ReadBlock());
    }
    std::uint64_t shared = 0, suffix = 0, order = 0, payload = 0;
    if (!TakeVarint(rest_, shared) || !TakeVarint(rest_, suffix) || shared > key_.size())
      return Fail(DamagedRun("key"));
    const std::string_view more = AsText(rest_.ReadBytes(suffix));
    key_.resize(shared);
    key_ += more;
    if (!TakeVarint(rest_, order) || !TakeVarint(rest_, payload)) return Fail(DamagedRun("order"));
    record = {key_, order, AsText(rest_.ReadBytes(payload))};
    if (!rest_.ok()) return Fail(DamagedRun("payload"));
    return true;
  }

 private:
  Result<void> ReadBlock() {
    std::array<std::byte, 8> head;
    STRATA_ASSIGN(const std::size_t got, run_->file->ReadAt(position_, head));
    const auto size = LoadLe<std::uint32_t>(head.data());
    if (got < head.size() || size == 0 || size > kMaxRunBlock || size > run_->size - position_ - head.size()) {
      return Fail(DamagedRun("length"));
    }
    block_.resize(size);
    STRATA_ASSIGN(const std::size_t read,
                  run_->file->ReadAt(position_ + head.size(), std::as_writable_bytes(std::span(block_))));
    if (read < size || Crc32c(AsBytes(block_)) != LoadLe<std::uint32_t>(head.data() + 4))
      return Fail(DamagedRun("checksum"));
    position_ += head.size() + size;
    rest_ = ByteReader(AsBytes(block_));
    key_.clear();
    return {};
  }

  const std::shared_ptr<SortedRun> run_;
  std::uint64_t position_ = 0;
  std::string block_, key_;
  ByteReader rest_{ByteSpan()};
};

class MemoryStream final : public RecordStream {
 public:
  explicit MemoryStream(const std::vector<const std::byte*>& records) : records_(records) {}
  Result<bool> Next(SortedRecord& record) override {
    if (next_ == records_.size()) return false;
    record = RecordIn(records_[next_++]);
    return true;
  }

 private:
  const std::vector<const std::byte*>& records_;
  std::size_t next_ = 0;
};

class MergedStream final : public RecordStream {
 public:
  Result<void> AddInput(std::unique_ptr<RecordStream> stream) {
    Input input{std::move(stream), {}};
    STRATA_ASSIGN(const bool any, input.stream->Next(input.record));
    if (!any) return {};
    inputs_.push_back(std::move(input));
    std::push_heap(inputs_.begin(), inputs_.end(), ComesLater);
    return {};
  }

  Result<bool> Next(SortedRecord& record) override {
    if (given_) {
      // The first input gave the record before: it goes on only now, since that lies in its memory.
      std::pop_heap(inputs_.begin(), inputs_.end(), ComesLater);
      STRATA_ASSIGN(const bool more, inputs_.back().stream->Next(inputs_.back().record));
      if (more) {
        std::push_heap(inputs_.begin(), inputs_.end(), ComesLater);
      } else {
        inputs_.pop_back();
      }
    }
    given_ = !inputs_.empty();
    if (given_) record = inputs_.front().record;
    return given_;
  }

 private:
  struct Input {
    std::unique_ptr<RecordStream> stream;
    SortedRecord record;
  };
  static bool ComesLater(const Input& a, const Input& b) { return ComesBefore(b.record, a.record); }

  std::vector<Input> inputs_;
  bool given_ = false;
};

Result<std::shared_ptr<SortedRun>> WriteRun(Env& env, const std::string& folder, RecordStream& records) {
  std::array<std::byte, 8> random{};
  env.Random(random);
  const std::string path = folder + "/strata-sort-" + std::to_string(LoadLe<std::uint64_t>(random.data()));
  auto run = std::make_shared<SortedRun>();
  const auto write = [&]() -> Result<void> {
    STRATA_ASSIGN(run->file, env.Open(path, OpenMode::kCreateExclusive));
    STRATA_TRY(env.Remove(path));
    RunWriter writer(*run->file);
    for (SortedRecord record;;) {
      STRATA_ASSIGN(const bool more, records.Next(record));
      if (!more) break;
      STRATA_TRY(writer.Add(record));
    }
    STRATA_TRY(writer.Flush());
    run->size = writer.size();
    return {};
  };
  if (auto written = write(); !written) {
    return Fail(Status(written.error().code(), "sorting entries in a temporary file in " + folder + ": " +
                                                   std::string(written.error().message()) +
                                                   "; make room there, or set TMPDIR to a folder with more"));
  }
  return run;
}

}  // namespace

RecordSorter::RecordSorter(Env& env, std::string folder, std::size_t memory)
    : env_(env), folder_(std::move(folder)), memory_(memory) {}
RecordSorter::~RecordSorter() = default;

std::byte* RecordSorter::Room(std::size_t size) {
  if (block_left_ < size) {
    const std::size_t block = std::max(size, std::min(kArenaBlock, memory_ / 4 + 1));
    blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block));
    next_ = blocks_.back().get();
    block_left_ = block;
  }
  block_left_ -= size;
  return std::exchange(next_, next_ + size);
}

Result<void> RecordSorter::Add(std::string_view key, std::uint64_t order, std::string_view payload) {
  if (key.size() > kMaxRecordBytes || payload.size() > kMaxRecordBytes - key.size()) {
    return Fail(Errc::kFileTooBig, "sorting an entry of " + std::to_string(key.size() + payload.size()) +
                                       " bytes: at most " + std::to_string(kMaxRecordBytes) + " are taken");
  }
  const std::size_t size = kFrameHeadBytes + key.size() + payload.size();
  if (held_ > 0 && held_ + size + kRecordOverhead > memory_) STRATA_TRY(Spill());
  std::byte* const at = Room(size);
  StoreLe(at, static_cast<std::uint32_t>(key.size()));
  StoreLe(at + 4, static_cast<std::uint32_t>(payload.size()));
  StoreLe(at + 8, order);
  std::copy(key.begin(), key.end(), reinterpret_cast<char*>(at) + kFrameHeadBytes);
  std::copy(payload.begin(), payload.end(), reinterpret_cast<char*>(at) + kFrameHeadBytes + key.size());
  sorted_ = sorted_ && (records_.empty() || !ComesBefore(RecordIn(at), RecordIn(records_.back())));
  records_.push_back(at);
  held_ += size + kRecordOverhead;
  ++count_;
  return {};
}

void RecordSorter::Sort() {
  if (sorted_) return;
  std::sort(records_.begin(), records_.end(),
            [](const std::byte* a, const std::byte* b) { return ComesBefore(RecordIn(a), RecordIn(b)); });
  sorted_ = true;
}

Result<void> RecordSorter::Spill() {
  Sort();
  MemoryStream records(records_);
  STRATA_ASSIGN(auto run, WriteRun(env_, folder_, records));
  spilled_ += run->size;
  if (levels_.empty()) levels_.emplace_back();
  levels_[0].push_back(std::move(run));
  records_.clear();
  blocks_.clear();
  block_left_ = 0;
  held_ = 0;
  for (std::size_t level = 0; level < levels_.size() && levels_[level].size() >= kFanIn; ++level) {
    STRATA_TRY(MergeLevel(level));
  }
  return {};
}

Result<void> RecordSorter::MergeLevel(std::size_t level) {
  MergedStream merged;
  for (const auto& run : levels_[level]) STRATA_TRY(merged.AddInput(std::make_unique<RunStream>(run)));
  STRATA_ASSIGN(auto run, WriteRun(env_, folder_, merged));
  spilled_ += run->size;
  levels_[level].clear();
  if (level + 1 == levels_.size()) levels_.emplace_back();
  levels_[level + 1].push_back(std::move(run));
  return {};
}

Result<std::unique_ptr<RecordStream>> RecordSorter::Read() {
  Sort();
  if (levels_.empty()) return std::make_unique<MemoryStream>(records_);
  auto merged = std::make_unique<MergedStream>();
  for (const auto& level : levels_) {
    for (const auto& run : level) STRATA_TRY(merged->AddInput(std::make_unique<RunStream>(run)));
  }
  STRATA_TRY(merged->AddInput(std::make_unique<MemoryStream>(records_)));
  return merged;
}

}  // namespace strata::store
