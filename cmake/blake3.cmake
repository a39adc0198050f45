# BLAKE3, by its authors' own C. From libblake3 where the system has it, else compiled from where Debian 12 keeps the
# sources, within its Rust package (librust-blake3-dev). Sets STRATA_BLAKE3 to the target that store/ links.
pkg_check_modules(BLAKE3 QUIET IMPORTED_TARGET libblake3)
if(BLAKE3_FOUND)
  set(STRATA_BLAKE3 PkgConfig::BLAKE3)
  return()
endif()

file(GLOB blake3_folders /usr/share/cargo/registry/blake3-*/c)
list(SORT blake3_folders COMPARE NATURAL ORDER DESCENDING)
list(POP_FRONT blake3_folders found)
set(STRATA_BLAKE3_SOURCE "${found}" CACHE PATH "The folder of BLAKE3's C sources, where there is no libblake3")
if(NOT EXISTS "${STRATA_BLAKE3_SOURCE}/blake3.c")
  message(FATAL_ERROR "BLAKE3 was not found: neither libblake3 (by pkg-config) nor its C sources. Run scripts/setup, or "
                      "install librust-blake3-dev, or name the folder of blake3.c: -DSTRATA_BLAKE3_SOURCE=...")
endif()

set(blake3_sources blake3.c blake3_dispatch.c blake3_portable.c)
set(blake3_definitions)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  # The program chooses among these when it runs.
  enable_language(ASM)
  foreach(variant sse2 sse41 avx2 avx512)
    list(APPEND blake3_sources blake3_${variant}_x86-64_unix.S)
  endforeach()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  list(APPEND blake3_sources blake3_neon.c)
  set(blake3_definitions BLAKE3_USE_NEON=1)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(i.86|x86)$")
  set(blake3_definitions BLAKE3_NO_SSE2 BLAKE3_NO_SSE41 BLAKE3_NO_AVX2 BLAKE3_NO_AVX512)
endif()
list(TRANSFORM blake3_sources PREPEND "${STRATA_BLAKE3_SOURCE}/")
add_library(strata_blake3 STATIC ${blake3_sources})
# Optimised and without sanitizers in all presets: it is not what is tested, and a debug build would be slow by its hashes.
set_target_properties(strata_blake3 PROPERTIES EXPORT_NAME blake3 COMPILE_OPTIONS "-O3;-w" UNITY_BUILD OFF)
target_compile_definitions(strata_blake3 PRIVATE ${blake3_definitions})
target_include_directories(strata_blake3 INTERFACE $<BUILD_INTERFACE:${STRATA_BLAKE3_SOURCE}>)
install(TARGETS strata_blake3 EXPORT strataTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(STRATA_BLAKE3 strata_blake3)
