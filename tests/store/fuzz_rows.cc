// Arbitrary columns as rows of the index. The first byte chooses the kind of row; then come the integers, eight bytes
// each, and the blobs, a byte of length before each. What is read must be the same after it is written and read again.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "store/index/rows.h"

namespace {

using namespace strata;
using namespace strata::store;

constexpr int kColumns = 20, kBlobs = 3;  // of an inode: blobs stand before its last column

void Require(bool condition) {
  if (!condition) std::abort();
}

// A row of as many columns as there can be, each a parameter.
class Row {
 public:
  Row() {
    auto database = Database::Open(":memory:", Database::Mode::kCreate, nullptr);
    Require(database.has_value());
    database_ = std::move(*database);
    std::string sql = "SELECT ?1";
    for (int column = 2; column <= kColumns; ++column) sql += ", ?" + std::to_string(column);
    auto statement = database_->Prepare(sql.c_str());
    Require(statement.has_value());
    statement_ = std::move(*statement);
  }
  Statement& statement() { return statement_; }
  void Step() {
    const auto row = statement_.Step();
    Require(row.has_value() && *row);
  }

 private:
  std::unique_ptr<Database> database_;
  Statement statement_;
};

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  std::int64_t Integer() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= std::uint64_t{Byte()} << 8 * i;
    return static_cast<std::int64_t>(value);
  }
  std::string_view Blob() {
    const std::string_view blob = bytes_.substr(0, Byte());
    bytes_.remove_prefix(blob.size());
    return blob;
  }
  std::uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }

 private:
  std::string_view bytes_;
};

void ReadAsInode(Row& row, Input& input) {
  Statement& statement = row.statement();
  std::array<std::string_view, kBlobs> blobs;
  constexpr int kFirstBlob = kColumns - kBlobs;
  for (int i = 1; i < kFirstBlob; ++i) statement.Bind(i, input.Integer());
  for (int i = 0; i < kBlobs; ++i) statement.BindBlob(kFirstBlob + i, blobs[i] = input.Blob());
  statement.Bind(kUsedParameter, input.Integer());
  row.Step();
  const auto read = ReadInode(statement, "fuzz");
  statement.Reset();
  if (!read) return;
  std::string scratch;
  BindInode(statement, *read, scratch);
  statement.Bind(kUsedParameter, read->used);
  row.Step();
  const auto again = ReadInode(statement, "fuzz");
  statement.Reset();
  Require(again.has_value() && *again == *read);
}

void ReadAsEntry(Row& row, Input& input) {
  Statement& statement = row.statement();
  const std::int64_t hash = input.Integer(), ino = input.Integer(), kind = input.Integer();
  const std::string_view name = input.Blob();
  statement.Bind(1, hash);
  statement.BindBlob(2, name);
  statement.Bind(3, ino);
  statement.Bind(4, kind);
  row.Step();
  const auto read = ReadEntry(statement, "fuzz");
  statement.Reset();
  if (read) Require(EntryKind(*read) == kind && read->name == name);
}

void ReadAsExtent(Row& row, Input& input) {
  Statement& statement = row.statement();
  const auto after = static_cast<std::uint64_t>(input.Integer());
  for (int i = 1; i <= 4; ++i) statement.Bind(i, input.Integer());
  row.Step();
  const auto read = ReadExtent(statement, after, "fuzz");
  statement.Reset();
  if (!read) return;
  Require(read->length > 0 && read->offset >= after && read->record < read->position);
  Require(read->offset + read->length > read->offset && read->position.value + read->length > read->position.value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Row row;
  Input input(std::string_view(reinterpret_cast<const char*>(data), size));
  switch (input.Byte() % 3) {
    case 0:
      ReadAsInode(row, input);
      break;
    case 1:
      ReadAsEntry(row, input);
      break;
    default:
      ReadAsExtent(row, input);
  }
  return 0;
}
