#include "server/nsm/program.h"

#include <algorithm>
#include <array>
#include <utility>

#include "server/nsm/protocol.h"

namespace strata {
namespace nsm {
namespace {

class NsmProgram final : public rpc::Program {
 public:
  NsmProgram(const Exports& exports, Monitor& monitor, std::function<void()> wanted)
      : exports_(exports), monitor_(monitor), wanted_(std::move(wanted)) {}
  std::uint32_t number() const override { return kNsmProgram; }
  std::string_view name() const override { return "nsm"; }
  std::uint32_t low_version() const override { return kNsmVersion; }
  std::uint32_t high_version() const override { return kNsmVersion; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t version) const override;
  // From a privileged port, as sm-notify calls. Of this machine nobody: whoever asks here looks for its rpc.statd,
  // which is to be started then.
  bool Admits(const rpc::Peer& peer) const override {
    if (rpc::IsOfThisMachine(peer)) {
      wanted_();
      return false;
    }
    return std::ranges::any_of(exports_.all(), [&peer](const Export& entry) { return entry.Admits(peer); });
  }
  Monitor& monitor() { return monitor_; }

 private:
  const Exports& exports_;
  Monitor& monitor_;
  const std::function<void()> wanted_;
};

rpc::Outcome Null(rpc::Program&, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  return arguments.Finished() ? rpc::Outcome{} : rpc::Outcome::Garbage();
}

rpc::Outcome Notify(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  const std::string_view name = arguments.Text(kMaxName);
  const std::uint32_t state = arguments.U32();
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  if (call.peer != nullptr) static_cast<NsmProgram&>(program).monitor().Notified(call.peer->address, name, state);
  return {};
}

constexpr std::array<rpc::Procedure, kNotify + 1> Table() {
  std::array<rpc::Procedure, kNotify + 1> table{};
  const auto add = [&table](std::uint32_t number, std::string_view name, auto* handler) {
    table[number].number = number;
    table[number].name = name;
    table[number].handler = handler;
  };
  add(kNull, "NULL", Null);
  add(kNotify, "NOTIFY", Notify);
  return table;
}
constexpr std::array<rpc::Procedure, kNotify + 1> kTable = Table();

std::span<const rpc::Procedure> NsmProgram::Procedures(std::uint32_t) const { return kTable; }

}  // namespace
}  // namespace nsm

std::unique_ptr<rpc::Program> MakeNsmProgram(const Exports& exports, nsm::Monitor& monitor,
                                             std::function<void()> wanted) {
  return std::make_unique<nsm::NsmProgram>(exports, monitor, std::move(wanted));
}

}  // namespace strata
