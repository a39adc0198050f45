// One line of the log a call, at level trace; off, a load and a comparison.
//
//     event=call xid=17 client=127.0.0.1 port=700 program=nfs procedure=LOOKUP inode=5 name=readme status=0 us=12
//     worker=no
//
// `inode` is that of the object or directory that the call names, and `name` the (first) name in it. `status` is the
// program's own, as the procedure gave it. Each is there where the call has one. `accept` stands in place of `status`
// where the call was answered without results (RFC 5531 accept_stat). `us` runs from when the call was read to when it
// was answered. What the answer then waits for, a sync or the socket, is left out. `worker`: whether it went to one.
#pragma once

#include "base/log.h"
#include "server/rpc/dispatcher.h"

namespace strata::rpc {

inline bool Tracing() { return log::Enabled(log::Level::kTrace); }

std::int64_t SteadyNanoseconds();

// A call that was run.
void WriteTrace(const Route& route, const CallTrace& trace, const Outcome& outcome);
// One that came again: answered as the first time, or as that will be.
void WriteTraceOfDuplicate(const Route& route, bool waits);
// One that was answered without being run. `record`: the whole of it.
void WriteTraceOfDenied(const Peer& peer, ByteSpan record);

inline void TraceDuplicate(const Route& route, bool waits) {
  if (Tracing()) [[unlikely]]
    WriteTraceOfDuplicate(route, waits);
}
inline void TraceDenied(const Peer& peer, ByteSpan record) {
  if (Tracing()) [[unlikely]]
    WriteTraceOfDenied(peer, record);
}

}  // namespace strata::rpc
