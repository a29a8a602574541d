"""Sums up the events of `go test -json`: report.py FILE STATUS."""

import json
import sys

passed = failed = 0
output = {}
for line in open(sys.argv[1]):
    event = json.loads(line)
    test, action = event.get("Test"), event["Action"]
    if action == "output" or action == "build-output":
        output.setdefault(test, []).append(event["Output"])
    if test is None or action not in ("pass", "fail", "skip"):
        continue
    print(f"{action} {test} ({event.get('Elapsed', 0)} s)")
    passed += action == "pass"
    failed += action != "pass"
    if action != "pass":
        print("".join(output.get(test, [])), end="")
if sys.argv[2] != "0" and not failed:
    print("".join(line for lines in output.values() for line in lines), end="")
    failed += 1
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
