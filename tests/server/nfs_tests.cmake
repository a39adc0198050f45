# Tests of NFS, MOUNT, portmap and the exports: included from tests/server/CMakeLists.txt. libnfs is the oracle of the bytes.
set(STRATA_NFS_TEST_DIR ${CMAKE_CURRENT_LIST_DIR})
add_library(strata_nfs_harness STATIC ${STRATA_NFS_TEST_DIR}/nfs3/fake_file_system.cc ${STRATA_NFS_TEST_DIR}/nfs3/harness.cc)
target_link_libraries(strata_nfs_harness PUBLIC strata_server)

strata_test(server_nfs_test
  SOURCES
    ${STRATA_NFS_TEST_DIR}/nfs3/attributes_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/control_tree_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/data_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/directory_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/exports_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/handle_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/names_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/program_test.cc
    ${STRATA_NFS_TEST_DIR}/nfs3/status_test.cc
    ${STRATA_NFS_TEST_DIR}/mount3/mount3_test.cc
    ${STRATA_NFS_TEST_DIR}/nlm4/nlm4_test.cc
    ${STRATA_NFS_TEST_DIR}/portmap/kept_registrations_test.cc
    ${STRATA_NFS_TEST_DIR}/portmap/portmap_test.cc
    ${STRATA_NFS_TEST_DIR}/portmap/registry_test.cc
  LIBRARIES strata_nfs_harness strata_server nfs)

# Locks, apart from the wire.
strata_test(locks_test IN asan tsan
  SOURCES ${STRATA_NFS_TEST_DIR}/nlm4/client_caller_test.cc ${STRATA_NFS_TEST_DIR}/nlm4/handed_locks_test.cc ${STRATA_NFS_TEST_DIR}/nlm4/lock_table_test.cc ${STRATA_NFS_TEST_DIR}/nlm4/range_locks_test.cc
  LIBRARIES strata_server)

strata_test(nsm_test IN asan tsan
  SOURCES
    ${STRATA_NFS_TEST_DIR}/nsm/monitor_test.cc
    ${STRATA_NFS_TEST_DIR}/nsm/monitored_clients_test.cc
    ${STRATA_NFS_TEST_DIR}/nsm/program_test.cc
    ${STRATA_NFS_TEST_DIR}/rpc/harness.cc
  LIBRARIES strata_server)

# The server's headers name libtirpc's types, the others libnfs's of the same names.
foreach(source exports_test handle_test)
  set_source_files_properties(${STRATA_NFS_TEST_DIR}/nfs3/${source}.cc PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endforeach()

strata_fuzzer(nfs3 SOURCE ${STRATA_NFS_TEST_DIR}/nfs3/fuzz_programs.cc LIBRARIES strata_nfs_harness strata_server)
strata_fuzzer(nlm SOURCE ${STRATA_NFS_TEST_DIR}/nlm4/fuzz_nlm.cc LIBRARIES strata_nfs_harness strata_server)
strata_fuzzer(nsm SOURCE ${STRATA_NFS_TEST_DIR}/nsm/fuzz_nsm.cc LIBRARIES strata_server)
