#include "vfs/workspace/past_requests.h"

#include "base/log.h"
#include "journal/record.h"

namespace strata::vfs {
namespace {

class RequestVisitor final : public journal::EffectVisitor {
 public:
  Result<void> On(const InodeRecord&) override { return {}; }
  Result<void> On(const journal::TouchEffect&) override { return {}; }
  Result<void> On(const journal::EntryEffect&) override { return {}; }
  Result<void> On(const journal::DataEffect&) override { return {}; }
  Result<void> On(const journal::TruncateEffect&) override { return {}; }
  Result<void> On(const journal::PurgeEffect&) override { return {}; }
  Result<void> On(const journal::RequestEffect& effect) override {
    found_.push_back({{effect.request.begin(), effect.request.end()}, effect.made, effect.generation});
    if (found_.size() > kMaxPastRequests) found_.pop_front();
    return {};
  }

  std::deque<FoundRequest> Take() { return std::move(found_); }

 private:
  std::deque<FoundRequest> found_;
};

}  // namespace

Result<std::deque<FoundRequest>> FindPastRequests(journal::Journal& journal, Lsn from, Lsn sound) {
  RequestVisitor visitor;
  while (true) {
    const auto record = journal.NextHead(from);
    if (!record && record.error().code() == Errc::kCorrupt && from < sound) {
      log::Warning(
          "requests that the journal remembers cannot be read; if a client has not heard the answer to one of them and "
          "asks again, it is done again error=" +
          record.error().ToString());
      from = sound;
      continue;
    }
    if (!record) return Fail(record.error());
    if (!*record) return visitor.Take();
    STRATA_TRY(journal::VisitRecord((*record)->head, (*record)->payload_size, visitor));
    from = (*record)->end;
  }
}

}  // namespace strata::vfs
