# ARM64 under emulation, on machines that are none: the real ARM64 JIT runs the unmodified tests. Sourced by .ci/run.

# The kit that puts the runtime together lies outside the repository; see its README.
arm64_kit=${ARM64_KIT:-../shared/arm64}
arm64_home=artifacts/arm64

arm64() {
  local name="ARM64 under emulation" why
  if [ "$(uname -m)" = aarch64 ]; then
    skip "$name" "this machine is one, its tests are the others"
    return
  fi
  if ! why=$(arm64_prepare); then
    skip "$name" "$why"
    return
  fi

  # With dot products all kernels, and small models, which run every kernel there is, stage by stage against the original; without them the tiles and edges.
  local kernels=tests/Glip.Kernels.Tests/bin/Release/net10.0/Glip.Kernels.Tests.dll case
  arm64_tests "all kernels" cortex-a76 "$kernels" "isa: Neon"
  for case in micro_a/c0_full micro_a/c1_oddsize_single micro_a/c4_resize_up_unicode micro_a/c7_empty_result micro_b/c1_oddsize_single; do
    arm64_tests "$case against the original" cortex-a76 tests/Glip.Golden.Tests/bin/Release/net10.0/Glip.Golden.Tests.dll \
      "Every_stage_equals_the_original(name: \"$case\", isa: Neon"
  done
  arm64_tests "the portable set rounds as the others do" cortex-a76 "$kernels" "SimdPortable"
  arm64_tests "its kernels have the stored bits" cortex-a76 "$kernels" "PortableBits"
  arm64_tests "every stage of all small models has the stored bits" cortex-a76 tests/Glip.Golden.Tests/bin/Release/net10.0/Glip.Golden.Tests.dll "DeterministicTests"
  arm64_tests "tiles" cortex-a72 "$kernels" "GemmMicroKernel"
  arm64_tests "edges" cortex-a72 "$kernels" "AtEveryEdge(isa: Neon"
}

# arm64_prepare: puts the runtime together once; prints why not if it cannot
arm64_prepare() {
  [ -x "$arm64_home/out/armrun.bin" ] && have qemu-aarch64 qemu-user libstdc++6-arm64-cross && return
  [ -d "$arm64_kit" ] || { echo "no $arm64_kit"; return 1; }
  have qemu-aarch64 qemu-user libstdc++6-arm64-cross || { echo "no qemu-aarch64"; return 1; }
  [ -e /usr/aarch64-linux-gnu/lib/libstdc++.so.6 ] || { echo "no libstdc++6-arm64-cross"; return 1; }
  command -v npm >/dev/null || { echo "no npm"; return 1; }
  command -v python3 >/dev/null || { echo "no python3"; return 1; }
  # The empty projects keep the repository's own build settings out of the kit's.
  mkdir -p artifacts && cp -r "$arm64_kit" "$arm64_home" && chmod -R u+w "$arm64_home" &&
    echo '<Project />' | tee "$arm64_home/Directory.Build.props" "$arm64_home/Directory.Packages.props" >/dev/null &&
    timeout 600 bash "$arm64_home/setup.sh" >"$arm64_home.log" 2>&1 && [ -x "$arm64_home/out/armrun.bin" ] && return
  echo "its runtime could not be put together: $(tail -1 "$arm64_home.log")"
  rm -rf "$arm64_home"
  return 1
}

# arm64_tests NAME PROCESSOR ASSEMBLY [FILTER]
# Compiled once and fully: with tiered compilation this emulated runtime throws in its own invocation stubs, in tests that pass without.
arm64_tests() {
  counted "tests, $1 on ARM64 ($2): expecting neon" env GLIP_EXPECT_ISA=neon DOTNET_TieredCompilation=0 timeout 900 qemu-aarch64 -cpu "$2" -L /usr/aarch64-linux-gnu \
    "$arm64_home/out/armrun.bin" "$arm64_home/out/xrun/xrun.dll" "$3" ${4:+-filter "$4"}
}
