# The smoke program where hosts run the library: other processors, NativeAOT, trimmed, foreign cultures, small heaps. Sourced by .ci/run.

root=$PWD
places=$root/artifacts/platforms
smoke_dll=$root/tests/Glip.Smoke/bin/Release/net10.0/glip-smoke.dll

# from_nowhere COMMAND...: in an empty directory, with the time of the start in nanoseconds
from_nowhere() {
  rm -rf "$places/empty"
  mkdir -p "$places/empty"
  (cd "$places/empty" && GLIP_STARTED=$(date +%s%N) "$@")
}

# smoke NAME EXPECTED_ISA [VARIABLE=VALUE]...: the smoke program on the installed runtime
smoke() {
  local name="smoke, $1" isa=$2
  shift 2
  counted "$name: expecting $isa" from_nowhere env "$@" dotnet "$smoke_dll" "$root" --expect "$isa"
}

platforms() {
  local best
  mkdir -p "$places"
  case $(uname -m) in
  x86_64)
    best=v128
    has_cpu avx2 && best=avx2
    has_cpu avx512dq && best=avx512
    ;;
  aarch64) best=neon ;;
  *) best=auto ;;
  esac

  counted "smoke, JIT: expecting $best" from_nowhere dotnet "$smoke_dll" "$root" --expect "$best" --record "$places/small.json"
  smoke "without any culture data" "$best" DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
  if [ -n "${DOTNET_SYSTEM_GLOBALIZATION_INVARIANT:-}" ]; then
    skip "smoke, Turkish" "this machine has no culture data"
  else
    smoke "Turkish" "$best" LC_ALL=tr_TR.UTF-8 GLIP_EXPECT_CULTURE=tr-TR
  fi
  smoke "64 MB of heap" "$best" DOTNET_GCHeapHardLimit=0x4000000
  smoke "256 MB of heap" "$best" DOTNET_GCHeapHardLimit=0x10000000
  trimmed "$best"
  native_aot
}

# A processor with AVX2 and nothing above it, whatever this machine has: the NativeAOT program, because qemu 7.2 ends the JIT's with a
# segmentation fault. One small picture, because an emulator computes slowly.
haswell() {
  if ! have qemu-x86_64 qemu-user; then
    skip "smoke on an emulated Haswell" "no qemu-x86_64"
    return
  fi
  counted "smoke, emulated Haswell: expecting avx2" from_nowhere timeout 300 \
    qemu-x86_64 -cpu Haswell "$1" "$root" --expect avx2 --against "$places/small.json"
}

# publish PROJECT FOLDER OPTION...: what dotnet publish says, and failure if it warns of anything
publish() {
  local project=$1 folder=$2
  shift 2
  rm -rf "$folder"
  dotnet publish "$project" -c Release -o "$folder" "$@" >"$folder.log" 2>&1 && ! grep -E "warning|will always throw" "$folder.log" && return
  grep -E "error|warning|will always throw" "$folder.log" | sort -u | head -20
  return 1
}

runtime_identifier() {
  dotnet --info | sed -nE 's/^ *RID: *//p' | head -1
}

# One file that holds the runtime too, without what is not used.
trimmed() {
  local folder=$places/trimmed
  check "publish trimmed, one file, no warnings" publish tests/Glip.Smoke "$folder" -r "$(runtime_identifier)" --self-contained \
    -p:PublishTrimmed=true -p:PublishSingleFile=true --artifacts-path artifacts/trimmed
  [ -x "$folder/glip-smoke" ] || return
  echo "size: $(size_of "$folder/glip-smoke") MB"
  counted "smoke, trimmed: expecting $1" from_nowhere "$folder/glip-smoke" "$root" --expect "$1"
}

size_of() {
  awk -v bytes="$(stat -c %s "$1")" 'BEGIN { printf "%.2f", bytes / 1e6 }'
}

# aot PROJECT FOLDER [OPTION]...: NativeAOT, no warnings. $aot_framework and $aot_set are found by native_aot.
aot() {
  local project=$1 folder=$2
  shift 2
  publish "$project" "$folder" -r "$(runtime_identifier)" -p:PublishAot=true -p:GlipFramework="$aot_framework" -p:CppCompilerAndLinker=gcc \
    --artifacts-path "artifacts/aot-$aot_framework" "$@"
}

# NativeAOT decides about instruction sets when it compiles: one program a set. Where the package source lacks .NET 10's compiler, .NET 9's does it.
native_aot() {
  if [ "$(uname -s)" != Linux ] || ! have gcc gcc libc6-dev; then
    skip "NativeAOT" "no gcc"
    return
  fi
  local set2=x86-64-v3 set3=x86-64-v4 folder=$places/aot
  aot_framework=net10.0
  if ! aot tests/Glip.Smoke "$folder-default" >"$places/aot.log"; then
    aot_framework=net9.0 set2=x86-x64-v3 set3=x86-x64-v4
    if ! aot tests/Glip.Smoke "$folder-default" >"$places/aot.log" && grep -q "NU1101\|NU1102" "$folder-default.log"; then
      skip "NativeAOT" "the package source has no compiler for it"
      return
    fi
  fi

  check "publish NativeAOT ($aot_framework), no warnings" test -x "$folder-default/glip-smoke"
  case $(uname -m) in
  x86_64)
    aot_smoke "$folder-default" v128
    if has_cpu avx2; then
      check "publish NativeAOT, AVX2, no warnings" aot tests/Glip.Smoke "$folder-avx2" -p:IlcInstructionSet=$set2
      aot_smoke "$folder-avx2" avx2
      start_up "$folder-avx2/glip-smoke"
      haswell "$folder-avx2/glip-smoke"
      check "publish the command glip as NativeAOT, AVX2, no warnings" aot src/Glip.Cli "$folder-cli" -p:IlcInstructionSet=$set2
      at_most "size of the command glip" "$(size_of "$folder-cli/glip")" 8 MB
      check "publish a host of the library alone, no warnings" aot tests/Glip.Smoke.Host "$folder-host" -p:IlcInstructionSet=$set2
      at_most "size of a host of the library alone" "$(size_of "$folder-host/glip-host")" 4 MB
      check "both find the same" host_and_command_agree "$folder-host/glip-host" "$folder-cli/glip"
      check "its deterministic trace is the JIT's, byte for byte" deterministic_traces_agree "$folder-cli/glip"
    else
      skip "NativeAOT with AVX2" "this processor has none"
    fi
    if has_cpu avx512dq; then
      check "publish NativeAOT, AVX-512, no warnings" aot tests/Glip.Smoke "$folder-avx512" -p:IlcInstructionSet=$set3
      aot_smoke "$folder-avx512" avx512
    else
      skip "NativeAOT with AVX-512" "this processor has none"
    fi
    ;;
  *) aot_smoke "$folder-default" neon ;;
  esac
}

aot_smoke() {
  [ -x "$1/glip-smoke" ] || return
  echo "size: $(size_of "$1/glip-smoke") MB"
  counted "smoke, NativeAOT: expecting $2" from_nowhere "$1/glip-smoke" "$root" --expect "$2"
}

# The best of ten, because others use the machine too.
start_up() {
  local best
  best=$(for _ in 1 2 3 4 5 6 7 8 9 10; do
    from_nowhere "$1" "$root" --against "$places/small.json" | sed -nE 's/^start-up: ([0-9.]+) ms.*/\1/p'
  done | sort -n | head -1)
  at_most "start of a NativeAOT program to its first line" "$best" 30 ms
}

# Compiled ahead for AVX2, and by the JIT for whatever this machine has.
deterministic_traces_agree() {
  local trace=(trace samples/scene5.png "bicycle . pizza . red apple" --model models/glip-nano.safetensors --deterministic --out)
  "$1" "${trace[@]}" "$places/native.safetensors" && dotnet run -c Release --no-build --project src/Glip.Cli -- "${trace[@]}" "$places/jit.safetensors" &&
    cmp "$places/native.safetensors" "$places/jit.safetensors"
}

# Both print names and scores, the command as a table.
host_and_command_agree() {
  local prompt="bicycle . pizza . red apple . sailboat . sunflower ." host command
  "$2" decode samples/scene5.png "$places/scene5.ppm" >/dev/null || return
  host=$("$1" "$places/scene5.ppm" "$prompt")
  command=$("$2" detect samples/scene5.png "$prompt" --output "$places/scene5.png" | sed -nE 's/^ +(.*[^ ]) +([01]\.[0-9]{3}) .*/\1 \2/p')
  echo "$host"
  [ -n "$host" ] && [ "$host" = "$command" ]
}
