// The codec against libprotobuf, which knows it from castore.proto alone.
#include <castore.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "store/castore/directory.h"
#include "tests/store/castore/castore_testing.h"

namespace strata::store {
namespace {

namespace proto = tvix::castore::v1;
using Random = std::mt19937_64;

std::uint64_t Below(Random& random, std::uint64_t bound) { return random() % bound; }

std::string RandomBytes(Random& random, std::size_t length) {
  std::string bytes(length, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

// A number of any length as a varint.
std::uint64_t RandomNumber(Random& random) { return random() >> Below(random, 64) >> 1; }

std::string RandomName(Random& random) {
  std::string name;
  do {
    name = RandomBytes(random, 1 + (Below(random, 10) == 0 ? Below(random, 255) : Below(random, 4)));
  } while (!NodeNameFault(name).empty());
  return name;
}

proto::Directory RandomDirectory(Random& random) {
  std::set<std::string> names;
  for (std::uint64_t i = Below(random, 20); i > 0; --i) names.insert(RandomName(random));
  proto::Directory directory;
  for (const std::string& name : names) {
    switch (Below(random, 3)) {
      case 0: {
        auto* child = directory.add_directories();
        child->set_name(name);
        child->set_digest(RandomBytes(random, 32));
        child->set_size(RandomNumber(random) >> 8);
        break;
      }
      case 1: {
        auto* file = directory.add_files();
        file->set_name(name);
        file->set_digest(RandomBytes(random, 32));
        file->set_size(RandomNumber(random));
        file->set_executable(Below(random, 2) == 0);
        break;
      }
      default: {
        auto* link = directory.add_symlinks();
        link->set_name(name);
        std::string target = RandomBytes(random, 1 + Below(random, Below(random, 10) == 0 ? 4095 : 20));
        std::ranges::replace(target, '\0', '0');
        link->set_target(target);
      }
    }
  }
  return directory;
}

// What of a parsed message would make it invalid, by another way than ours: everything in one set.
bool IsValid(const proto::Directory& directory) {
  std::set<std::string> names;
  std::uint64_t size = 0;
  bool valid = true;
  const auto count = [&](std::uint64_t more) { valid = !__builtin_add_overflow(size, more, &size) && valid; };
  const auto list = [&](const auto& entries, const auto& is_sound) {
    const std::string* previous = nullptr;
    for (const auto& entry : entries) {
      if (previous != nullptr && entry.name() <= *previous) valid = false;
      previous = &entry.name();
      if (!names.insert(entry.name()).second || !NodeNameFault(entry.name()).empty() || !is_sound(entry)) valid = false;
      count(1);
    }
  };
  list(directory.directories(), [&](const proto::DirectoryNode& node) {
    count(node.size());
    return node.digest().size() == 32;
  });
  list(directory.files(), [](const proto::FileNode& node) { return node.digest().size() == 32; });
  list(directory.symlinks(), [](const proto::SymlinkNode& node) { return SymlinkTargetFault(node.target()).empty(); });
  return valid;
}

template <typename Message>
bool HasUnknownFields(const Message& message) {
  return message.GetReflection()->GetUnknownFields(message).field_count() > 0;
}

bool HasUnknownFieldsAnywhere(const proto::Directory& directory) {
  const auto any = [](const auto& entries) {
    return std::ranges::any_of(entries, [](const auto& entry) { return HasUnknownFields(entry); });
  };
  return HasUnknownFields(directory) || any(directory.directories()) || any(directory.files()) ||
         any(directory.symlinks());
}

// libprotobuf cuts a number of more than 64 bits; castore refuses it.
bool MayHoldALongVarint(std::string_view bytes) {
  int run = 0;
  for (const char c : bytes) {
    run = static_cast<signed char>(c) < 0 ? run + 1 : 0;
    if (run >= 9) return true;
  }
  return false;
}

TEST(DirectoryByProtobuf, ReadsWhatItWritesAndWritesTheSame) {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    const proto::Directory directory = RandomDirectory(random);
    ASSERT_TRUE(IsValid(directory));
    const std::string bytes = directory.SerializeAsString();
    const auto parsed = Directory::Parse(AsBytes(bytes));
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    ASSERT_EQ(AsText(parsed->canonical()), bytes);
    ASSERT_EQ(parsed->count(), static_cast<std::size_t>(directory.directories_size() + directory.files_size() +
                                                        directory.symlinks_size()));
    for (const auto& file : directory.files()) {
      const std::size_t index = parsed->Find(file.name());
      ASSERT_LT(index, parsed->count());
      const Directory::Entry entry = parsed->At(index);
      EXPECT_EQ(entry.kind, NodeKind::kFile);
      EXPECT_EQ(AsText(entry.digest->bytes), file.digest());
      EXPECT_EQ(entry.size, file.size());
      EXPECT_EQ(entry.executable, file.executable());
    }
    for (const auto& child : directory.directories()) {
      const Directory::Entry entry = parsed->At(parsed->Find(child.name()));
      EXPECT_EQ(entry.kind, NodeKind::kDirectory);
      EXPECT_EQ(AsText(entry.digest->bytes), child.digest());
      EXPECT_EQ(entry.size, child.size());
    }
    for (const auto& link : directory.symlinks()) {
      const Directory::Entry entry = parsed->At(parsed->Find(link.name()));
      EXPECT_EQ(entry.kind, NodeKind::kSymlink);
      EXPECT_EQ(entry.target, link.target());
    }
  }
}

// Writes a message in another form than the canonical one.
class LooseWriter {
 public:
  explicit LooseWriter(Random& random) : random_(random) {}

  void Number(int field, std::uint64_t value) {
    Varint(static_cast<std::uint64_t>(field) << 3);
    Varint(value);
  }
  void Bytes(int field, std::string_view bytes) {
    Varint(static_cast<std::uint64_t>(field) << 3 | 2);
    Varint(bytes.size());
    out += bytes;
  }
  void Junk() {
    if (Below(random_, 3) == 0) Number(5 + static_cast<int>(Below(random_, 1000)), random_());
    if (Below(random_, 3) == 0) Bytes(5 + static_cast<int>(Below(random_, 1000)), RandomBytes(random_, 5));
  }

  std::string out;

 private:
  // With needless bytes, at times.
  void Varint(std::uint64_t value) {
    std::size_t more = Below(random_, 4) == 0 ? Below(random_, 3) : 0;
    std::size_t length = 1;
    for (; value >= 0x80; value >>= 7, ++length) out += static_cast<char>(value | 0x80);
    more = std::min(more, 5 - std::min<std::size_t>(length, 5));
    out += static_cast<char>(more > 0 ? value | 0x80 : value);
    for (; more > 0; --more) out += static_cast<char>(more > 1 ? 0x80 : 0);
  }

  Random& random_;
};

template <typename Entry>
std::string LooseEntry(Random& random, const Entry& entry) {
  LooseWriter writer(random);
  std::vector<int> fields = {1, 2, 3, 4};
  std::ranges::shuffle(fields, random);
  if (Below(random, 2) == 0) writer.Bytes(1, "another name");  // the last one counts
  if (!std::ranges::is_sorted(fields) && writer.out.size() > 0 && fields[0] == 2) writer.Junk();
  for (const int field : fields) {
    writer.Junk();
    if (field == 1) writer.Bytes(1, entry.name());
    if constexpr (std::is_same_v<Entry, proto::SymlinkNode>) {
      if (field == 2) writer.Bytes(2, entry.target());
    } else {
      if (field == 2) writer.Bytes(2, entry.digest());
      if (field == 3) writer.Number(3, entry.size());
      if constexpr (std::is_same_v<Entry, proto::FileNode>) {
        if (field == 4) writer.Number(4, entry.executable() ? 1 + Below(random, 5) : 0);
      }
    }
  }
  return writer.out;
}

TEST(DirectoryByProtobuf, WhatIsNotCanonicalIsReadAsLibprotobufReadsIt) {
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    const proto::Directory directory = RandomDirectory(random);
    LooseWriter writer(random);
    int at[3] = {0, 0, 0};
    const int sizes[3] = {directory.directories_size(), directory.files_size(), directory.symlinks_size()};
    while (at[0] < sizes[0] || at[1] < sizes[1] || at[2] < sizes[2]) {
      const auto kind = Below(random, 3);
      if (at[kind] == sizes[kind]) continue;
      const int i = at[kind]++;
      writer.Junk();
      writer.Bytes(static_cast<int>(kind) + 1, kind == 0   ? LooseEntry(random, directory.directories(i))
                                               : kind == 1 ? LooseEntry(random, directory.files(i))
                                                           : LooseEntry(random, directory.symlinks(i)));
    }
    proto::Directory theirs;
    ASSERT_TRUE(theirs.ParseFromString(writer.out));
    const auto parsed = Directory::Parse(AsBytes(writer.out));
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    ASSERT_EQ(AsText(parsed->canonical()), directory.SerializeAsString());
    theirs.DiscardUnknownFields();
    ASSERT_EQ(theirs.SerializeAsString(), directory.SerializeAsString());
  }
}

TEST(DirectoryByProtobuf, DamagedMessagesAreTakenOrRefusedByBoth) {
  Random random(3);
  int taken = 0, refused = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string bytes = RandomDirectory(random).SerializeAsString();
    for (std::uint64_t i = Below(random, 3); i > 0 && !bytes.empty(); --i) {
      const std::size_t at = Below(random, bytes.size());
      switch (Below(random, 4)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ 1 << Below(random, 8));
          break;
        case 2:
          bytes.erase(at, 1 + Below(random, 3));
          break;
        default:
          bytes.insert(at, RandomBytes(random, 1 + Below(random, 3)));
      }
    }
    if (MayHoldALongVarint(bytes)) continue;
    proto::Directory theirs;
    const bool is_message = theirs.ParseFromString(bytes);
    const auto parsed = Directory::Parse(AsBytes(bytes));
    if (parsed) {
      ++taken;
      ASSERT_TRUE(is_message);
      theirs.DiscardUnknownFields();
      ASSERT_TRUE(IsValid(theirs));
      ASSERT_EQ(AsText(parsed->canonical()), theirs.SerializeAsString());
    } else {
      ++refused;
      // Of a field of a wrong type libprotobuf makes an unknown one, and castore a refusal.
      ASSERT_FALSE(is_message && !HasUnknownFieldsAnywhere(theirs) && IsValid(theirs)) << parsed.error().ToString();
    }
  }
  EXPECT_GT(taken, 5000);
  EXPECT_GT(refused, 5000);
}

TEST(NodeByProtobuf, ReadsWhatItWritesAndWritesTheSame) {
  Random random(4);
  for (int round = 0; round < 2000; ++round) {
    proto::Node theirs;
    Node ours;
    const std::string name = Below(random, 2) == 0 ? RandomName(random) : "";
    Digest digest;
    const std::string digest_bytes = RandomBytes(random, 32);
    std::ranges::copy(AsBytes(digest_bytes), digest.bytes.begin());
    const std::uint64_t size = RandomNumber(random);
    switch (Below(random, 3)) {
      case 0:
        ours = Node::OfDirectory(digest, size);
        theirs.mutable_directory()->set_name(name);
        theirs.mutable_directory()->set_digest(digest_bytes);
        theirs.mutable_directory()->set_size(size);
        break;
      case 1:
        ours = Node::OfFile(digest, size, round % 2 == 0);
        theirs.mutable_file()->set_name(name);
        theirs.mutable_file()->set_digest(digest_bytes);
        theirs.mutable_file()->set_size(size);
        theirs.mutable_file()->set_executable(round % 2 == 0);
        break;
      default:
        ours = Node::OfSymlink(std::string(1 + Below(random, 4095), 't'));
        theirs.mutable_symlink()->set_name(name);
        theirs.mutable_symlink()->set_target(ours.target);
    }
    const std::string bytes = theirs.SerializeAsString();
    ASSERT_EQ(AsText(EncodeNamedNode(name, ours)), bytes);
    if (name.empty()) {
      ASSERT_EQ(ParseNode(AsBytes(bytes)).value(), ours);
    } else {
      ASSERT_EQ(ParseNamedNode(AsBytes(bytes)).value(), std::pair(name, ours));
    }
  }
}

}  // namespace
}  // namespace strata::store
