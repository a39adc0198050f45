// CheckedRecords: which records were checked lately. A record takes the place of another that falls on it. What was
// forgotten is checked anew. So what is noted of a journal of any size has a bound.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace strata::journal {

// Thread-safe, without a lock.
class CheckedRecords {
 public:
  static constexpr std::size_t kPlaces = 1 << 17;  // of 8 bytes

  CheckedRecords() = default;
  CheckedRecords(const CheckedRecords&) = delete;
  CheckedRecords& operator=(const CheckedRecords&) = delete;
  ~CheckedRecords() { delete[] places_.load(std::memory_order_relaxed); }

  // `record`: its position, which is not 0.
  bool Has(std::uint64_t record) const {
    const Place* const places = places_.load(std::memory_order_acquire);
    return places != nullptr && places[PlaceOf(record)].load(std::memory_order_relaxed) == record;
  }
  void Add(std::uint64_t record) {
    Place* places = places_.load(std::memory_order_acquire);
    if (places == nullptr) {  // many processes never need them
      auto made = std::make_unique<Place[]>(kPlaces);
      if (places_.compare_exchange_strong(places, made.get(), std::memory_order_acq_rel)) places = made.release();
    }
    places[PlaceOf(record)].store(record, std::memory_order_relaxed);
  }

 private:
  using Place = std::atomic<std::uint64_t>;
  static std::size_t PlaceOf(std::uint64_t record) { return record * 0x9e3779b97f4a7c15ULL >> (64 - 17); }

  std::atomic<Place*> places_{nullptr};
};

}  // namespace strata::journal
