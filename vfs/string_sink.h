// StringSink: what a READ gives, gathered in memory.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "vfs/types.h"

namespace strata::vfs {

class StringSink final : public ReadSink {
 public:
  MutableByteSpan Allocate(std::size_t size) override {
    data.resize(data.size() + size);
    return std::as_writable_bytes(std::span(data)).last(size);
  }
  void Trim(std::size_t size) override { data.resize(data.size() - std::min(size, data.size())); }
  bool OnlyPassesOn() const override { return false; }
  void Reference(ByteSpan bytes, std::shared_ptr<const void>) override { data += AsText(bytes); }
  void Zeros(std::size_t size) override { data.append(size, '\0'); }

  std::string data;
};

}  // namespace strata::vfs
