#!/usr/bin/env bash
# Makes the files of src/tls/testdata: some of what stores.sh makes, and certificates with unusual names.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
to=$(cd "$here/../.." && pwd)/src/tls/testdata
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$to"
"$here/stores.sh" "$work" 1
for file in ca.{pem,jks,p12} server.{pem,jks,p12} bob.pem bob-encrypted.pem mallory.pem expired.pem elsewhere.pem \
  revoked.pem revoked.crl; do
  cp "$work/$file" "$to/"
done
# As OpenSSL writes trust stores, and with its older ciphers.
openssl pkcs12 -export -nokeys -in "$work/ca.crt" -passout pass:secret -out "$to/unmarked.p12"
openssl pkcs12 -export -legacy -name bob -in "$work/bob.crt" -inkey "$work/bob.key" -passout pass:secret \
  -out "$to/legacy.p12"
: > "$to/names.pem"
while IFS= read -r subject; do
  openssl req -x509 -utf8 -multivalue-rdn -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
    -subj "$subject" -keyout /dev/null 2> /dev/null >> "$to/names.pem"
done <<'SUBJECTS'
/C=US/O=Example/OU=dev/CN=bob
/O=Example, Inc/CN=a\+b=c<d>e;f"g\\h#i
/CN= leading and trailing 
/CN=#hash
/DC=org/DC=example/UID=u1/CN=x
/C=DE/ST=Nordrhein-Westfalen/L=Köln/street=Straße 1/CN=Jürgen 中文
/CN=mail/emailAddress=bob@example.org
/O=Test/serialNumber=12345/title=Dr/CN=other
/O=Test/CN=multi+OU=valued+UID=7
SUBJECTS
java "$here/Names.java" "$to/names.pem" > "$to/names.txt"
