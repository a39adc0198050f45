# NFS, MOUNT, NLM, NSM, portmap and the exports: STRATA_NFS_SOURCES, for the server room. Included from server/CMakeLists.txt, whose target must link libtirpc.
set(STRATA_NFS_SOURCES
  ${CMAKE_CURRENT_LIST_DIR}/exports.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/attributes.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/create.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/data.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/directory.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/handle.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/lookup.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/operation.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/past.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/program.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/remove.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/status.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/volume.cc
  ${CMAKE_CURRENT_LIST_DIR}/nfs3/xdr_types.cc
  ${CMAKE_CURRENT_LIST_DIR}/mount3/mount_list.cc
  ${CMAKE_CURRENT_LIST_DIR}/mount3/program.cc
  ${CMAKE_CURRENT_LIST_DIR}/nlm4/client_caller.cc
  ${CMAKE_CURRENT_LIST_DIR}/nlm4/handed_locks.cc
  ${CMAKE_CURRENT_LIST_DIR}/nlm4/lock_listing.cc
  ${CMAKE_CURRENT_LIST_DIR}/nlm4/lock_table.cc
  ${CMAKE_CURRENT_LIST_DIR}/nlm4/program.cc
  ${CMAKE_CURRENT_LIST_DIR}/nlm4/range_locks.cc
  ${CMAKE_CURRENT_LIST_DIR}/nsm/monitor.cc
  ${CMAKE_CURRENT_LIST_DIR}/nsm/monitored_clients.cc
  ${CMAKE_CURRENT_LIST_DIR}/nsm/program.cc
  ${CMAKE_CURRENT_LIST_DIR}/portmap/kept_registrations.cc
  ${CMAKE_CURRENT_LIST_DIR}/portmap/program.cc
  ${CMAKE_CURRENT_LIST_DIR}/portmap/registry.cc)

# MOUNT's XDR is rpcgen's, from our own grammar. Its C is not ours: no warnings.
set(STRATA_RPCGEN_DIR ${CMAKE_CURRENT_BINARY_DIR}/rpcgen)
find_program(RPCGEN rpcgen REQUIRED)
file(MAKE_DIRECTORY ${STRATA_RPCGEN_DIR})
add_custom_command(
  OUTPUT ${STRATA_RPCGEN_DIR}/mount3_xdr.h ${STRATA_RPCGEN_DIR}/mount3_xdr.c
  COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_LIST_DIR}/mount3/mount3.x mount3_xdr.x
  COMMAND ${CMAKE_COMMAND} -E rm -f mount3_xdr.h mount3_xdr.c
  COMMAND ${RPCGEN} -h -o mount3_xdr.h mount3_xdr.x
  COMMAND ${RPCGEN} -c -o mount3_xdr.c mount3_xdr.x
  WORKING_DIRECTORY ${STRATA_RPCGEN_DIR}
  DEPENDS ${CMAKE_CURRENT_LIST_DIR}/mount3/mount3.x
  VERBATIM)
set_source_files_properties(${STRATA_RPCGEN_DIR}/mount3_xdr.c PROPERTIES COMPILE_OPTIONS "-w" INCLUDE_DIRECTORIES ${STRATA_RPCGEN_DIR})
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/mount3/program.cc PROPERTIES INCLUDE_DIRECTORIES ${STRATA_RPCGEN_DIR})
list(APPEND STRATA_NFS_SOURCES ${STRATA_RPCGEN_DIR}/mount3_xdr.c ${STRATA_RPCGEN_DIR}/mount3_xdr.h)
