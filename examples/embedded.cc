// A program that serves a tree of its own: one file, made when it is read. It prints its URL and ends with its input.
#include <cstdio>

#include "server/server.h"
using namespace strata;
using namespace strata::vfs;

struct Greeting final : FileSystem {
  VolumeInfo info{.id = 1, .handle_key = {1, 2}, .read_only = true};
  const std::string text = "hello from inside the program\n";
  Entry Node(std::uint64_t ino, Attributes a = {}) const {
    a.type = ino == 1 ? FileType::kDirectory : FileType::kRegular;
    a.mode = 0555, a.ino = InodeNumber(ino), a.size = text.size();
    return {{a.ino, Generation(1)}, a};
  }
  const VolumeInfo& Volume() const override { return info; }
  ObjectId Root() const override { return Node(1).id; }
  Result<Attributes> GetAttributes(const OpContext&, const ObjectId& id) override {
    return Node(id.ino.value).attributes;
  }
  Result<Entry> Lookup(const OpContext&, const ObjectId&, std::string_view name, std::optional<Attributes>*) override {
    return name == "hello" ? Result<Entry>(Node(2)) : Fail(Errc::kNotFound);
  }
  Result<ReadResult> Read(const OpContext&, const ObjectId&, std::uint64_t at, std::uint32_t n,
                          ReadSink& sink) override {
    const std::string_view part = at < text.size() ? std::string_view(text).substr(at, n) : "";
    sink.Reference(AsBytes(part), nullptr);
    return ReadResult{part.size(), at + part.size() >= text.size(), Node(2).attributes};
  }
  Result<Listing> ReadDirectory(const OpContext&, const ObjectId&, Cookie after, bool, DirectorySink& sink) override {
    const Entry file = Node(2);
    return Listing{after.value > 0 || sink.Add({"hello", file.id, Cookie(1), &file.attributes}), after.value == 0};
  }
};
int main() {
  ExportOptions options;
  options.insecure_ports = true;
  // Nothing here is ever written, and so nobody needs locks.
  auto server =
      Server::Start({.listen = {{"127.0.0.1", 0}}, .locks = false}, {{options, std::make_shared<Greeting>()}});
  if (!server) return std::fprintf(stderr, "%s\n", server.error().ToString().c_str()), 1;
  const unsigned port = (*server)->endpoints()[0].port;
  std::printf("nfs://127.0.0.1/?nfsport=%u&mountport=%u\n", port, port), std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
