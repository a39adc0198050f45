// What the base of the store takes, on one core: digests, chunking, directories, closures. Run it from an optimised
// build (tests/bench/README.md). Bytes a second are of input.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "store/castore/closure.h"
#include "store/castore/directory.h"
#include "store/chunker.h"
#include "store/digest.h"

namespace strata::store {
namespace {

constexpr std::size_t kInput = 64 << 20;

const std::vector<std::byte>& Noise() {
  static const std::vector<std::byte> noise = [] {
    std::vector<std::byte> bytes(kInput);
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < bytes.size(); i += 8) StoreLe<std::uint64_t>(bytes.data() + i, random());
    return bytes;
  }();
  return noise;
}

void CountBytes(benchmark::State& state, std::size_t each) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * each));
}

template <typename Visit>
void VisitChunks(ByteSpan rest, const Visit& visit) {
  Chunker chunker;
  while (!rest.empty()) {
    std::size_t length = chunker.Cut(rest);
    if (length == 0) length = rest.size();
    visit(rest.first(length));
    rest = rest.subspan(length);
  }
}

void DigestOf(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    for (std::size_t at = 0; at + size <= kInput; at += size) {
      benchmark::DoNotOptimize(Digest::Of(ByteSpan(Noise()).subspan(at, size)));
    }
  }
  CountBytes(state, kInput / size * size);
}
BENCHMARK(DigestOf)->Arg(64)->Arg(1 << 10)->Arg(4 << 10)->Arg(64 << 10)->Arg(256 << 10)->Arg(kInput);

void Chunk(benchmark::State& state) {
  for (auto _ : state) VisitChunks(Noise(), [](ByteSpan chunk) { benchmark::DoNotOptimize(chunk.size()); });
  CountBytes(state, kInput);
}
BENCHMARK(Chunk);

void ChunkWithDigestsOfTheChunks(benchmark::State& state) {
  for (auto _ : state) VisitChunks(Noise(), [](ByteSpan chunk) { benchmark::DoNotOptimize(Digest::Of(chunk)); });
  CountBytes(state, kInput);
}
BENCHMARK(ChunkWithDigestsOfTheChunks);

// What taking a blob needs: it has a digest of its own.
void ChunkWithDigestsOfChunksAndBlob(benchmark::State& state) {
  for (auto _ : state) {
    Hasher whole;
    VisitChunks(Noise(), [&](ByteSpan chunk) {
      benchmark::DoNotOptimize(Digest::Of(chunk));
      whole.Update(chunk);
    });
    benchmark::DoNotOptimize(whole.Finish());
  }
  CountBytes(state, kInput);
}
BENCHMARK(ChunkWithDigestsOfChunksAndBlob);

void SplitPiecesOf64KiB(benchmark::State& state) {
  for (auto _ : state) {
    ChunkSplitter splitter{Chunker()};
    const auto take = [](ByteSpan chunk) -> Result<void> {
      benchmark::DoNotOptimize(chunk.size());
      return {};
    };
    constexpr std::size_t kPiece = 64 << 10;
    for (std::size_t at = 0; at < kInput; at += kPiece) {
      (void)splitter.Write(ByteSpan(Noise()).subspan(at, kPiece), take);
    }
    (void)splitter.Finish(take);
  }
  CountBytes(state, kInput);
}
BENCHMARK(SplitPiecesOf64KiB);

Directory DirectoryOf(std::size_t count) {
  std::vector<std::pair<std::string, Node>> entries;
  for (std::size_t i = 0; i < count; ++i) {
    entries.emplace_back("some_file_name_" + std::to_string(i), Node::OfFile(Digest::OfEmpty(), i));
  }
  return Directory::Make(std::move(entries)).value();
}

void ParseDirectory(benchmark::State& state) {
  const Directory directory = DirectoryOf(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Directory::Parse(directory.canonical()));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ParseDirectory)->Arg(1)->Arg(20)->Arg(1000)->Arg(100'000);

void FindInDirectory(benchmark::State& state) {
  const Directory directory = DirectoryOf(static_cast<std::size_t>(state.range(0)));
  std::mt19937_64 random(1);
  for (auto _ : state) {
    const std::string_view name = directory.At(random() % directory.count()).name;
    benchmark::DoNotOptimize(directory.Find(name));
  }
}
BENCHMARK(FindInDirectory)->Arg(20)->Arg(1000)->Arg(100'000);

// A chain: the least that a closure of a million directories can be.
void CheckClosure(benchmark::State& state) {
  std::vector<Directory> chain = {Directory()};
  for (int i = 1; i < state.range(0); ++i) {
    const Node next = Node::OfDirectory(chain.back().digest(), static_cast<std::uint64_t>(i - 1));
    chain.push_back(Directory::Make({{"next", next}}).value());
  }
  for (auto _ : state) {
    LeavesToRoot closure;
    for (const Directory& directory : chain) {
      if (!closure.Add(directory)) std::abort();
    }
    benchmark::DoNotOptimize(closure.Finish());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(CheckClosure)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace strata::store

BENCHMARK_MAIN();
