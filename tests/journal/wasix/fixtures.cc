#include "tests/journal/wasix/fixtures.h"

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "journal/wasix/framing.h"

namespace strata::journal::wasix {

Fixture ReadFixture(std::string_view name) {
  const char* elsewhere = std::getenv("STRATA_FIXTURES");
  const std::filesystem::path folder = elsewhere != nullptr ? elsewhere : STRATA_FIXTURES;
  const std::string base = (folder / "wasix" / name).string();
  Fixture fixture;
  std::ifstream journal(base + ".journal", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(journal), {}};
  fixture.bytes = Copy(AsBytes(text));
  std::ifstream lines(base + ".jsonl");
  for (std::string line; std::getline(lines, line);) fixture.lines.push_back(nlohmann::json::parse(line));
  return fixture;
}

std::vector<Record> RecordsOf(ByteSpan journal) {
  std::vector<Record> records;
  FrameReader reader(journal);
  for (Frame frame = reader.Next(); frame.kind == Frame::Kind::kRecord; frame = reader.Next()) {
    records.push_back({frame.header.type, frame.payload_position(), Copy(frame.payload)});
  }
  return records;
}

std::vector<std::byte> Copy(ByteSpan bytes) {
  std::vector<std::byte> copy;
  copy.reserve(bytes.size());
  copy.assign(bytes.begin(), bytes.end());
  return copy;
}

}  // namespace strata::journal::wasix
