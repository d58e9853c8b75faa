# How .ci/run counts. Sourced by it; adds to $passed and $failed.

# What failed, said again at the end: nobody sees it in the middle of 3,000 lines. A file, because parts run beside others.
failures=$(mktemp)
trap 'rm -f "$failures"' EXIT

# check NAME COMMAND...: one check, one count
check() {
  local name=$1
  shift
  echo "== $name"
  if "$@"; then
    passed=$((passed + 1))
  else
    fail "$name"
  fi
}

# skip NAME WHY: a leg that cannot run here, visibly
skip() {
  echo "== skipped: $1: $2"
}

fail() {
  failed=$((failed + 1))
  echo "FAILED: $1" | tee -a "$failures"
}

# remember NAME LOG LINES: what a log says of failures; LINES is the address that sed knows them by
remember() {
  sed -nE "$3 p" "$2" | sed "s|^|$1: |" >>"$failures"
}

# counted NAME COMMAND...: a program that closes with "N passed, N failed" and counts for itself
counted() {
  local name=$1 log
  shift
  log=$(mktemp)
  echo "== $name"
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} sums
  sums=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed.*/\1 \2/p' "$log" | tail -1)
  remember "$name" "$log" '/^(FAIL|FAILED:|ERROR) /'
  rm -f "$log"
  add "$name" "$status" "${sums:-0 0}"
}

# tests NAME EXPECTED_ISA [VARIABLE=VALUE]...: the README's test command under a knob
tests() {
  local name="tests, $1" isa=$2 log
  shift 2
  log=$(mktemp)
  echo "== $name: expecting $isa"
  env GLIP_EXPECT_ISA="$isa" "$@" dotnet test -c Release --no-build 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} sums
  sums=$(sed -nE 's/.*(Passed|Failed)! +- Failed: +([0-9]+), Passed: +([0-9]+).*/\3 \2/p' "$log" | awk '{p += $1; f += $2} END {print p + 0, f + 0}')
  remember "$name" "$log" '/^ *Failed .*\[/,/Stack Trace:/'
  rm -f "$log"
  add "$name" "$status" "$sums"
}

# add NAME STATUS "PASSED FAILED": a leg that ended badly or ran nothing fails even if nothing in it was counted as failed
add() {
  local good=${3% *} bad=${3#* }
  echo "-- $1: $good passed, $bad failed"
  passed=$((passed + good))
  failed=$((failed + bad))
  if [ "$bad" -eq 0 ] && { [ "$2" -ne 0 ] || [ "$good" -eq 0 ]; }; then
    fail "$1: exit status $2, $good passed"
  fi
}

# beside FUNCTION: a part of its own on a processor that the others leave idle; joined prints what it said, and counts it
beside() {
  beside_name=$1
  beside_log=$(mktemp)
  (passed=0 failed=0; "$1"; echo "$passed passed, $failed failed") >"$beside_log" 2>&1 &
}

joined() {
  wait
  local sums
  cat "$beside_log"
  sums=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed.*/\1 \2/p' "$beside_log" | tail -1)
  rm -f "$beside_log"
  if [ -z "$sums" ]; then
    fail "$beside_name, which ran beside the others, did not come to its end"
    return
  fi
  passed=$((passed + ${sums% *}))
  failed=$((failed + ${sums#* }))
}

# at_most NAME FIGURE LIMIT UNIT: a figure that has a bar
at_most() {
  echo "== $1: $2 $4, at most $3"
  if awk -v figure="$2" -v limit="$3" 'BEGIN { exit !(figure != "" && figure + 0 <= limit + 0) }'; then
    passed=$((passed + 1))
  else
    fail "$1"
  fi
}

has_cpu() {
  grep -qw "$1" /proc/cpuinfo 2>/dev/null
}

# have COMMAND PACKAGE...: true if the command is there, or could be installed from Debian packages
have() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return
  command -v apt-get >/dev/null || return
  local root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo -n)
  { "${root[@]}" apt-get install -y --no-install-recommends "$@" ||
    { "${root[@]}" apt-get update && "${root[@]}" apt-get install -y --no-install-recommends "$@"; }; } >/dev/null 2>&1
  command -v "$command" >/dev/null
}
