#!/usr/bin/env bash
# Fuzzes each target for SECONDS (default 20) on the stable toolchain, beginning with the bytes of every record.
# Fails on a finding, which is left in target/fuzz/artifacts, and when a target ran nothing or blindly.
#   run.sh [SECONDS] [TARGET...]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(records frames)

work=${CARGO_TARGET_DIR:-$root/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$work/artifacts"

# With --target the flags are for the fuzzed code alone, not for build scripts and macros.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares" \
  cargo build --release --locked --manifest-path "$here/Cargo.toml" --target "$host" --target-dir "$work"

python3 - "$root/compat-tests/golden/records/golden.txt" "$work/corpus" <<'PY'
import os, struct, sys
golden, corpus = sys.argv[1:]
for target in ("records", "frames"):
    os.makedirs(f"{corpus}/{target}", exist_ok=True)
for line in open(golden):
    kind, name, variant, *value = line.split()
    if kind != "record":
        continue
    data = bytes.fromhex(value[0])
    for target, seed in (("records", data), ("frames", b"\3" + struct.pack(">i", len(data)) + data)):
        with open(f"{corpus}/{target}/{name}-{variant}", "wb") as file:
            file.write(seed)
PY

for target in "${targets[@]}"; do
  log=$work/$target.log
  "$work/$host/release/$target" "$work/corpus/$target" \
    -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=16 \
    -print_final_stats=1 -artifact_prefix="$work/artifacts/$target-" > "$log" 2>&1 ||
    { tail -n 60 "$log" >&2; echo "error: $target has a finding" >&2; exit 1; }
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  counters=$(sed -n 's/^INFO: Loaded .* (\([0-9]*\) inline 8-bit counters).*/\1/p' "$log")
  [ "${inputs:-0}" -gt 0 ] || { tail -n 60 "$log" >&2; echo "error: $target ran no inputs" >&2; exit 1; }
  [ "${counters:-0}" -gt 0 ] || { tail -n 60 "$log" >&2; echo "error: $target is not instrumented" >&2; exit 1; }
  echo "$target: $inputs inputs in $seconds s, $counters counters, no finding"
done
