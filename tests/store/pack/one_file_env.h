// An Env in which there is one file, in memory, that can be read: for fuzzers.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"

namespace strata::store::pack {

class OneFile final : public File {
 public:
  explicit OneFile(ByteSpan bytes) : bytes_(bytes) {}
  Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) override {
    if (offset >= bytes_.size()) return 0;
    const std::size_t size = std::min(out.size(), bytes_.size() - static_cast<std::size_t>(offset));
    std::ranges::copy(bytes_.subspan(static_cast<std::size_t>(offset), size), out.begin());
    return size;
  }
  Result<void> WriteAt(std::uint64_t, std::span<const ByteSpan>) override { return Fail(Errc::kReadOnly); }
  Result<void> Allocate(std::uint64_t, std::uint64_t) override { return Fail(Errc::kReadOnly); }
  Result<void> Truncate(std::uint64_t) override { return Fail(Errc::kReadOnly); }
  Result<std::uint64_t> Size() override { return bytes_.size(); }
  Result<void> SyncData() override { return {}; }
  Result<std::unique_ptr<Mapping>> Map(std::uint64_t) override { return Fail(Errc::kNotSupported); }
  Result<void> Lock() override { return {}; }

 private:
  const ByteSpan bytes_;
};

class OneFileEnv final : public Env {
 public:
  explicit OneFileEnv(ByteSpan bytes) : bytes_(bytes) {}
  Result<std::unique_ptr<File>> Open(const std::string&, OpenMode) override {
    return std::make_unique<OneFile>(bytes_);
  }
  Result<void> CreateDirectory(const std::string&) override { return Fail(Errc::kReadOnly); }
  Result<std::vector<std::string>> ListDirectory(const std::string&) override { return std::vector<std::string>(); }
  Result<void> Rename(const std::string&, const std::string&) override { return Fail(Errc::kReadOnly); }
  Result<void> Remove(const std::string&) override { return Fail(Errc::kReadOnly); }
  Result<void> SyncDirectory(const std::string&) override { return Fail(Errc::kReadOnly); }
  Result<Space> SpaceOf(const std::string&) override { return Fail(Errc::kNotSupported); }
  Time Now() override { return {}; }
  std::int64_t MonotonicNs() override { return 0; }
  void Random(MutableByteSpan out) override { std::ranges::fill(out, std::byte{}); }

 private:
  const ByteSpan bytes_;
};

}  // namespace strata::store::pack
