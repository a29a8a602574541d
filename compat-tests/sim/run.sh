#!/usr/bin/env bash
# The deterministic simulator: every mistake of the past that is made on purpose is noticed, and whole ensembles with
# bad luck, one from each seed, do nothing wrong.
#
#   SIM_SEEDS=4000 compat-tests/sim/run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${SIM_SEEDS:=4000}"
: "${CARGO_TARGET_DIR:=$PWD/target}"
export CARGO_TARGET_DIR CC="ccache gcc" CXX="ccache g++"
cargo build --release --locked --features sim --bin sim
"$CARGO_TARGET_DIR/release/sim" --mistake all --seeds 0..3000
"$CARGO_TARGET_DIR/release/sim" --seeds "0..$SIM_SEEDS"
# The members change, in four of ten.
"$CARGO_TARGET_DIR/release/sim" --operator --seeds "0..$((SIM_SEEDS / 2))"
