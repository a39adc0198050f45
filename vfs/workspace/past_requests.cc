#include "vfs/workspace/past_requests.h"

#include "base/log.h"

namespace strata::vfs {
namespace {

class RequestVisitor final : public journal::SomeEffects {
 public:
  using SomeEffects::On;
  Result<void> On(const journal::RequestEffect& effect) override {
    found.requests.push_back({{effect.request.begin(), effect.request.end()},
                              effect.made,
                              effect.generation,
                              record,
                              record.value - found.moved});
    if (found.requests.size() > kMaxPastRequests) found.requests.pop_front();
    return {};
  }

  PastRequestsFound found;
  Lsn record;
};

}  // namespace

Result<PastRequestsFound> FindPastRequests(journal::ChangeLog& journal, Lsn from, Lsn sound) {
  RequestVisitor visitor;
  while (true) {
    const auto record = journal.NextHead(from);
    if (!record && record.error().code() == Errc::kCorrupt && from < sound) {
      log::Warning("past_requests_unreadable",
                   {{"error", record.error()},
                    {"meaning", "a call whose answer a client has not heard may be done twice"},
                    {"hint", "strata check says what else is damaged"}});
      from = sound;
      continue;
    }
    if (!record) return Fail(record.error());
    if (!*record) return std::move(visitor.found);
    visitor.record = (*record)->begin;
    STRATA_ASSIGN(const journal::RecordHeader header, (*record)->Visit(visitor));
    from = (*record)->end;
    if (header.kind == journal::RecordKind::kMove) visitor.found.moved += from.value - visitor.record.value;
  }
}

}  // namespace strata::vfs
