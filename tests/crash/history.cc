#include "tests/crash/history.h"

#include <algorithm>

#include "tests/crash/block.h"

namespace strata::crash {
namespace {

std::string Show(const std::vector<Link>& links) {
  std::string text;
  for (const Link& link : links) text += " " + std::to_string(link.directory) + "/" + link.name;
  return links.empty() ? "no name" : "named" + text;
}

// In words, what is not as in `state`; empty where all is.
std::string Difference(const Object& object, const State& state, const Observed& seen, std::uint64_t seed,
                       std::uint64_t* blocks) {
  if (seen.links != state.links) return "it is " + Show(seen.links) + ", not " + Show(state.links);
  if (!state.exists()) return "";
  if (object.kind == Kind::kFolder) return "";
  if (seen.nlink != state.links.size()) {
    return "its link count is " + std::to_string(seen.nlink) + ", not " + std::to_string(state.links.size());
  }
  if (object.kind == Kind::kSymlink) {
    return !seen.content || *seen.content == object.target() ? "" : "it points to '" + *seen.content + "'";
  }
  if (state.mode != 0 && seen.mode != state.mode) {
    return "its mode is " + std::to_string(seen.mode) + ", not " + std::to_string(state.mode);
  }
  if (seen.size != state.size)
    return "its size is " + std::to_string(seen.size) + ", not " + std::to_string(state.size);
  if (!seen.content) return "";
  if (seen.content->size() != state.size) {
    return "it reads " + std::to_string(seen.content->size()) + " bytes, not " + std::to_string(state.size);
  }
  for (std::size_t i = 0; i < state.blocks.size(); ++i) {
    const std::uint64_t at = i * kBlockSize;
    const Piece& piece = state.blocks[i];
    std::string expected;
    if (piece.version != 0) expected = MakeBlock({object.id, piece.version, at, seed}).substr(0, piece.size);
    expected.resize(std::min<std::uint64_t>(kBlockSize, state.size - at));
    const std::string_view got = std::string_view(*seen.content).substr(at, expected.size());
    ++*blocks;
    if (got != expected) {
      return "the block at " + std::to_string(at) + " is " + DescribeBlock(got) + ", not version " +
             std::to_string(piece.version) + " (" + std::to_string(piece.size) + " bytes)";
    }
  }
  return "";
}

}  // namespace

void State::AddLink(Link link) { links.insert(std::lower_bound(links.begin(), links.end(), link), std::move(link)); }

void State::DropLink(const Link& link) { std::erase(links, link); }

void State::Write(std::size_t first, std::uint64_t length, std::uint32_t version) {
  const std::uint64_t end = first * kBlockSize + length;
  size = std::max(size, end);
  blocks.resize((size + kBlockSize - 1) / kBlockSize);
  for (std::size_t i = first; i * kBlockSize < end; ++i) {
    blocks[i] = {version, static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockSize, end - i * kBlockSize))};
  }
}

void State::Truncate(std::uint64_t new_size) {
  size = new_size;
  blocks.resize((size + kBlockSize - 1) / kBlockSize);
  if (!blocks.empty()) {
    const std::uint64_t rest = size - (blocks.size() - 1) * kBlockSize;
    blocks.back().size = std::min(blocks.back().size, static_cast<std::uint32_t>(rest));
  }
}

std::size_t Required(const Object& object, Crash crash) {
  for (std::size_t i = object.steps.size(); i-- > 1;) {
    const Step& step = object.steps[i];
    if (!step.event || step.event->promise == Promise::kDisk) return i;
    if (crash == Crash::kProcess && step.event->promise != Promise::kNone) return i;
  }
  return 0;
}

std::optional<Fit> FindFit(const Object& object, const Observed& observed, Crash crash, std::uint64_t seed,
                           std::uint64_t* blocks, std::string* why) {
  const std::size_t required = Required(object, crash);
  std::optional<Fit> fit;
  for (std::size_t i = object.steps.size(); i-- > required;) {
    const std::string difference = Difference(object, object.steps[i].state, observed, seed, blocks);
    if (difference.empty()) {
      if (!fit) fit = Fit{i, i};
      fit->oldest = i;
    } else if (why->size() < 2000) {
      const auto& event = object.steps[i].event;
      *why += "\n    not as after " + (event ? event->what : std::string("what was on disk")) + ": " + difference;
    }
  }
  if (fit) return fit;
  for (std::size_t i = 0; i < required; ++i) {
    if (Difference(object, object.steps[i].state, observed, seed, blocks).empty()) {
      *why += "\n    but as it was " + std::to_string(required - i) + " answered changes earlier: these were LOST";
      break;
    }
  }
  return std::nullopt;
}

void Settle(Object& object, const Fit& fit, bool forget) {
  for (std::size_t i = 1; i < object.steps.size(); ++i) {
    // A COMMIT leaves no mark by which it could be told to have survived.
    if (!object.steps[i].event || object.steps[i].state == object.steps[i - 1].state) continue;
    if (i <= fit.oldest) ++object.steps[i].event->kept;
    if (i > fit.newest) ++object.steps[i].event->lost;
  }
  object.steps.resize(fit.newest + 1);
  if (forget) {
    object.steps.erase(object.steps.begin(), object.steps.end() - 1);
    object.steps[0].event = nullptr;
  }
}

std::vector<std::string> JudgeOrder(std::span<const std::shared_ptr<Event>> events, double crashed, double interval) {
  std::vector<std::string> wrong;
  const Event* first_lost = nullptr;
  const Event* last_kept = nullptr;
  for (const std::shared_ptr<Event>& event : events) {
    if (event->kept != 0 && event->lost != 0) wrong.push_back(event->what + " survived by half");
    if (event->kept != 0 && (last_kept == nullptr || event->sent > last_kept->sent)) last_kept = event.get();
    if (event->lost == 0 || event->promise == Promise::kNone) continue;
    if (first_lost == nullptr || event->answered < first_lost->answered) first_lost = event.get();
    if (event->promise == Promise::kSoon && crashed - event->answered > interval) {
      wrong.push_back(event->what + " was lost though it had been answered " +
                      std::to_string(crashed - event->answered) + " s before the crash");
    }
  }
  if (first_lost != nullptr && last_kept != nullptr && first_lost->answered < last_kept->sent) {
    wrong.push_back(first_lost->what + " was lost, " + last_kept->what + " survived, which was sent " +
                    std::to_string(last_kept->sent - first_lost->answered) + " s after the other was answered");
  }
  return wrong;
}

}  // namespace strata::crash
