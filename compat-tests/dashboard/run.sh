#!/usr/bin/env bash
# The dashboard in a real browser: headless Chromium, driven by Playwright. SCREENSHOTS=DIR keeps pictures; desktop.png
# and phone.png, which the README shows, are busy-overview and busy-phone of them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib/env.sh"
SERVER=ferrokeeper
check_server
make_work
command -v chromium > /dev/null || die "needs chromium (apt-get install chromium)"

# Installed beside the checkout, so that it stays clean.
cp "$here/package.json" "$here/package-lock.json" "$here/dashboard.mjs" "$work/"
(cd "$work" && npm ci --no-audit --no-fund --loglevel=error --cache "$COMPAT_CACHE/npm") >&2

export FERROKEEPER PYTHONDONTWRITEBYTECODE=1 CLASSPATH_JAVA=
SCREENSHOTS=${SCREENSHOTS:-$work/screenshots}
mkdir -p "$SCREENSHOTS"
python3 "$here/dashboard.py" "$work" "$SCREENSHOTS"
