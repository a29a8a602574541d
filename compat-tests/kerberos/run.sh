#!/usr/bin/env bash
# Kerberos for clients (SASL GSSAPI): a KDC of MIT's on a loopback port, and the Java client, Kazoo, and tokens of MIT's
# library sent by hand. Arguments: names of tests (default: all). SERVER=java puts the Java server to the same tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
check_server
PATH=$PATH:/usr/sbin:/sbin
for tool in java krb5kdc kdb5_util kadmin.local; do
  command -v "$tool" > /dev/null || die "needs $tool (packages krb5-kdc, krb5-admin-server)"
done
# The bindings to Kerberos' library are packages of the system, and so for its Python.
python=/usr/bin/python3
"$python" -c 'import gssapi, kerberos' 2> /dev/null || die "needs the packages python3-gssapi and python3-kerberos"
ensemble_classpaths
venv="$COMPAT_CACHE/kerberos-venv"
if ! "$venv/bin/python3" -c 'import kazoo, puresasl' 2> /dev/null; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python3" -m pip install -q kazoo==2.11.0 pure-sasl==0.6.2 >&2
fi
modules=$("$venv/bin/python3" -c 'import os, kazoo; print(os.path.dirname(os.path.dirname(kazoo.__file__)))')
make_work
export SERVER WORK="$work" PYTHONPATH="$here:$here/../ensemble:$here/../lib:$modules"
"$python" "$here/kerberos_suite.py" "$@"
