#include "server/rpc/reply_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace strata::rpc {
namespace {

using Bytes = std::vector<std::byte>;

Bytes All(const ReplyBuffer& buffer) {
  Bytes out;
  buffer.CopyTo(0, out);
  return out;
}

// What a gathered write would send.
Bytes Gathered(const ReplyBuffer& buffer) {
  std::vector<iovec> pieces(4096);
  Bytes out;
  const std::size_t count = buffer.Gather(pieces.data(), pieces.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto* at = static_cast<const std::byte*>(pieces[i].iov_base);
    out.insert(out.end(), at, at + pieces[i].iov_len);
  }
  return out;
}

TEST(ReplyBuffer, WritesXdrWithItsPadding) {
  ReplyBuffer buffer;
  buffer.U32(1);
  buffer.U64(0x0102030405060708);
  buffer.Text("abcde");
  const unsigned char expected[] = {0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 5, 'a', 'b', 'c', 'd', 'e', 0, 0, 0};
  const Bytes all = All(buffer);
  ASSERT_EQ(all.size(), sizeof expected);
  EXPECT_EQ(std::memcmp(all.data(), expected, sizeof expected), 0);
}

TEST(ReplyBuffer, ReferencedDataIsNotCopiedAndIsReleasedOnceSent) {
  auto data = std::make_shared<Bytes>(100'000, std::byte{7});
  ReplyBuffer buffer;
  buffer.U32(1);
  buffer.Reference(*data, data);
  buffer.U32(2);
  iovec pieces[8];
  ASSERT_EQ(buffer.Gather(pieces, 8), 3u);
  EXPECT_EQ(pieces[1].iov_base, data->data());
  EXPECT_EQ(data.use_count(), 2);
  buffer.Consume(4 + 99'999);
  EXPECT_EQ(data.use_count(), 2);
  buffer.Consume(1);
  EXPECT_EQ(data.use_count(), 1);
  EXPECT_EQ(buffer.size(), 4u);
}

TEST(ReplyBuffer, AddKeepsReferencesAndWhatHoldsThem) {
  auto data = std::make_shared<Bytes>(100'000, std::byte{7});
  ReplyBuffer buffer, other;
  buffer.U32(1);
  buffer.Reference(*data, data);
  other.Add(buffer, 2, 50'000);
  buffer.Clear();
  EXPECT_EQ(data.use_count(), 2);
  iovec pieces[8];
  ASSERT_EQ(other.Gather(pieces, 8), 2u);
  EXPECT_EQ(pieces[1].iov_base, data->data());
  EXPECT_EQ(pieces[1].iov_len, 50'000u - 2);
}

TEST(ReplyBuffer, RewindDropsReferencesToo) {
  auto data = std::make_shared<Bytes>(5000, std::byte{7});
  ReplyBuffer buffer;
  buffer.U32(1);
  buffer.Reference(*data, data);
  buffer.U32(2);
  buffer.Rewind(4);
  EXPECT_EQ(data.use_count(), 1);
  buffer.U32(3);
  const Bytes all = All(buffer);
  ASSERT_EQ(all.size(), 8u);
  EXPECT_EQ(LoadBe32(all.data() + 4), 3u);
}

TEST(ReplyBuffer, GivesOutTheLargestReservation) {
  ReplyBuffer buffer;
  buffer.U32(1);
  std::byte* at = buffer.Reserve(ReplyBuffer::kMaxReserve);
  std::memset(at, 9, ReplyBuffer::kMaxReserve);
  buffer.Commit(ReplyBuffer::kMaxReserve);
  EXPECT_EQ(buffer.size(), ReplyBuffer::kMaxReserve + 4);
  EXPECT_EQ(Gathered(buffer), All(buffer));
}

TEST(ReplyBuffer, AgreesWithAPlainVectorUnderRandomOperations) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    ReplyBuffer buffer;
    Bytes model;
    const auto make = [&](std::size_t size) {
      Bytes bytes(size);
      for (std::byte& b : bytes) b = static_cast<std::byte>(random());
      return bytes;
    };
    for (int i = 0; i < 300; ++i) {
      switch (random() % 7) {
        case 0: {
          const Bytes bytes = make(random() % 300);
          std::byte* at = buffer.Reserve(bytes.size() + random() % 1000);
          std::copy(bytes.begin(), bytes.end(), at);
          buffer.Commit(bytes.size());
          model.insert(model.end(), bytes.begin(), bytes.end());
          break;
        }
        case 1: {
          auto bytes = std::make_shared<Bytes>(make(random() % 9000));
          buffer.Reference(*bytes, bytes);
          model.insert(model.end(), bytes->begin(), bytes->end());
          break;
        }
        case 2: {
          const std::size_t size =
              model.empty() ? 0 : model.size() - random() % std::min<std::size_t>(model.size(), 20'000);
          buffer.Rewind(size);
          model.resize(size);
          break;
        }
        case 3: {
          const std::size_t size = random() % (model.size() + 1);
          buffer.Consume(size);
          model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(size));
          break;
        }
        case 4: {
          ReplyBuffer other;
          const Bytes bytes = make(random() % 90'000);
          other.Raw(bytes);
          other.U32(5);
          model.insert(model.end(), bytes.begin(), bytes.end());
          model.insert(model.end(), {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{5}});
          buffer.Append(std::move(other));
          EXPECT_TRUE(other.empty());
          break;
        }
        case 5: {
          ReplyBuffer moved = std::move(buffer);
          buffer = std::move(moved);
          break;
        }
        case 6: {
          const Bytes bytes = make(random() % 200'000);
          buffer.Fixed(bytes);
          model.insert(model.end(), bytes.begin(), bytes.end());
          model.resize(model.size() + XdrPadded(bytes.size()) - bytes.size());
          break;
        }
      }
      ASSERT_EQ(buffer.size(), model.size()) << "seed " << seed << " step " << i;
    }
    EXPECT_EQ(All(buffer), model) << "seed " << seed;
    EXPECT_EQ(Gathered(buffer), model) << "seed " << seed;
    for (int i = 0; i < 20 && !model.empty(); ++i) {
      const std::size_t from = random() % model.size();
      const std::size_t size = random() % (model.size() - from + 1);
      const ByteSpan expected = ByteSpan(model).subspan(from, size);
      Bytes part;
      EXPECT_TRUE(buffer.CopyTo(from, part, size));
      EXPECT_TRUE(std::ranges::equal(part, expected));
      ReplyBuffer added;
      added.U32(1);
      added.Add(buffer, from, size);
      EXPECT_TRUE(std::ranges::equal(ByteSpan(All(added)).subspan(4), expected));
    }
  }
}

}  // namespace
}  // namespace strata::rpc
