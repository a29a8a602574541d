#!/usr/bin/env bash
# Compares the committed golden files, which the Rust tests read, with what the Java release of ZK_VERSION says.
#   run.sh            fails when they differ
#   run.sh --update   writes them anew
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib/env.sh"

cp=$(java_classpath "$ZK_VERSION")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# compare KIND FILE LINES [PROGRAM]: there have to be that many lines at least
compare() {
  java -cp "$cp" "$compat_root/golden/${4:-Golden}.java" "$1" > "$out/$1.txt" 2> "$out/messages" || die "$(cat "$out/messages")"
  [ "$(wc -l < "$out/$1.txt")" -ge "$3" ] || die "only $(wc -l < "$out/$1.txt") lines of $1"
  if [ "${mode:-}" = --update ]; then
    cp "$out/$1.txt" "$project_root/$2"
  elif ! diff -u "$project_root/$2" "$out/$1.txt"; then
    failed=1
  fi
}

mode=${1:-}
compare records compat-tests/golden/records/golden.txt 100
compare text jute/tests/java-text.txt 100
compare files compat-tests/golden/files.txt 15 DataFiles
[ "$failed" = 0 ] || die "the golden files differ from ZooKeeper $ZK_VERSION"
echo "golden: ZooKeeper $ZK_VERSION agrees"
echo "$(cat "$project_root/compat-tests/golden/records/golden.txt" "$project_root/jute/tests/java-text.txt" \
  "$project_root/compat-tests/golden/files.txt" | wc -l) passed, 0 failed"
