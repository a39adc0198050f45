#include "journal/wasix/encode.h"

#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "journal/wasix/archive.h"

namespace strata::journal::wasix {
namespace {

static_assert(kRootSize<FileDescriptorWriteV1> == 24, "WriteFrame has room for it");

// Where the parts of a payload lie in the file. The byte strings come first, in the order of their fields; the root
// comes last.
class Placement {
 public:
  template <HasLayout T>
  Placement(const T& entry, std::uint64_t payload_position) : end_(payload_position) {
    auto field = [&]<typename M>(std::size_t at, const char*, const M& member) {
      if constexpr (ByteString<M>) Place<M>(at, BytesOf(member));
    };
    Layout<T>::Fields(entry, field);
    root_ = kRootSize<T> == 0 ? end_ : RoundUp(end_, kRootAlignment);
    end_ = root_ + kRootSize<T>;
    for (std::size_t i = 0; i < count_; ++i) {
      fits_ = fits_ && root_ + strings_[i].field - strings_[i].position <= kMaxDistance;
    }
  }

  struct String {
    std::size_t field = 0;       // within the root
    std::uint64_t position = 0;  // of its first byte
    ByteSpan bytes;
  };
  std::span<const String> strings() const { return std::span(strings_).first(count_); }
  std::uint64_t root() const { return root_; }
  std::uint64_t end() const { return end_; }
  // Whether the record's fields can say where its byte strings are.
  bool fits() const { return fits_; }

 private:
  static constexpr std::uint64_t kMaxDistance = std::uint64_t{1} << 31;

  template <ByteString T>
  void Place(std::size_t field, ByteSpan bytes) {
    fits_ = fits_ && bytes.size() <= std::numeric_limits<std::uint32_t>::max();
    end_ = RoundUp(end_, kAlignmentOfBytes<T>);
    strings_[count_++] = {.field = field, .position = end_, .bytes = bytes};
    end_ += bytes.size();
  }

  std::array<String, kMostByteStrings> strings_;
  std::size_t count_ = 0;
  std::uint64_t root_ = 0;
  std::uint64_t end_;
  bool fits_ = true;
};

// Writes a root over zeros, which stay where there is padding.
class RootWriter {
 public:
  RootWriter(const Placement& placement, std::byte* root) : placement_(placement), root_(root) {}

  template <HasLayout T>
  void WriteFields(std::size_t base, const T& value) {
    auto field = [&](std::size_t at, const char*, const auto& member) { Write(base + at, member); };
    Layout<T>::Fields(value, field);
  }

 private:
  template <typename T>
  void Write(std::size_t at, const T& value) {
    if constexpr (std::is_integral_v<T>) {
      StoreLe(root_ + at, value);
    } else if constexpr (std::is_enum_v<T>) {
      StoreLe(root_ + at, std::to_underlying(value));
    } else if constexpr (kIsOctets<T>) {
      std::memcpy(root_ + at, value.data(), value.size());
    } else if constexpr (ByteString<T>) {
      WriteReference(at);
    } else if constexpr (kIsOption<T>) {
      if (!value) return;
      StoreLe(root_ + at, std::uint8_t{1});
      Write(at + BehindTag<typename T::value_type>(), *value);
    } else if constexpr (kIsVariant<T>) {
      StoreLe(root_ + at, static_cast<std::uint8_t>(value.index()));
      std::visit([&]<typename A>(const A& alternative) { Write(at + BehindTag<A>(), alternative); }, value);
    } else {
      WriteFields(at, value);
    }
  }

  void WriteReference(std::size_t at) {
    const Placement::String& string = placement_.strings()[next_string_++];
    const std::uint64_t distance = placement_.root() + at - string.position;
    StoreLe(root_ + at, static_cast<std::int32_t>(-static_cast<std::int64_t>(distance)));
    StoreLe(root_ + at + 4, static_cast<std::uint32_t>(string.bytes.size()));
  }

  const Placement& placement_;
  std::byte* root_;
  std::size_t next_string_ = 0;
};

std::unexpected<Status> TooBig(EntryType type) {
  return Fail(Errc::kFileTooBig,
              "WASIX record " + std::string(EntryName(type)) + ": more than 2 GiB do not fit into one record");
}

RecordHeader HeaderOf(EntryType type, const Placement& placement, std::uint64_t header_position) {
  return {.type = type, .payload_size = placement.end() - header_position - kHeaderBytes};
}

}  // namespace

std::uint64_t EncodedSize(const Entry& entry, std::uint64_t header_position) {
  return std::visit(
      [&](const auto& alternative) {
        return Placement(alternative, header_position + kHeaderBytes).end() - header_position;
      },
      entry);
}

Result<void> Encode(const Entry& entry, std::uint64_t header_position, std::vector<std::byte>& bytes) {
  return std::visit(
      [&](const auto& alternative) -> Result<void> {
        const Placement placement(alternative, header_position + kHeaderBytes);
        if (!placement.fits()) return TooBig(TypeOf(entry));
        const std::size_t begin = bytes.size();
        bytes.resize(begin + (placement.end() - header_position));
        const auto at = [&](std::uint64_t position) { return bytes.data() + begin + (position - header_position); };
        EncodeHeader(HeaderOf(TypeOf(entry), placement, header_position), at(header_position));
        for (const auto& string : placement.strings()) {
          if (!string.bytes.empty()) std::memcpy(at(string.position), string.bytes.data(), string.bytes.size());
        }
        RootWriter(placement, at(placement.root())).WriteFields(0, alternative);
        return {};
      },
      entry);
}

Result<WriteFrame> EncodeAround(const FileDescriptorWriteV1& entry, std::uint64_t header_position) {
  const Placement placement(entry, header_position + kHeaderBytes);
  if (!placement.fits()) return TooBig(EntryType::kFileDescriptorWriteV1);
  WriteFrame frame;
  frame.data_position_ = placement.strings()[0].position;
  const std::uint64_t data_end = frame.data_position_ + entry.data.size();
  frame.before_size_ = frame.data_position_ - header_position;
  frame.after_size_ = placement.end() - data_end;
  EncodeHeader(HeaderOf(EntryType::kFileDescriptorWriteV1, placement, header_position), frame.before_.data());
  RootWriter(placement, frame.after_.data() + (placement.root() - data_end)).WriteFields(0, entry);
  return frame;
}

}  // namespace strata::journal::wasix
