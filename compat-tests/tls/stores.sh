#!/usr/bin/env bash
# Keys, certificates and stores for tests of TLS, made by openssl and keytool.
#
#   stores.sh DIR [port of a web server that has the list of revoked certificates]
#
# DIR then has a CA and certificates of it: server, bob, revoked (in the list), expired, elsewhere (a server of another
# host), and mallory of another CA. NAME.pem is certificate and key, NAME.p12 and NAME.jks are key stores, ca.{pem,p12,jks}
# are trust stores. The password of all of them is `secret`.
set -euo pipefail
mkdir -p "$1"
cd "$1"
list_url=${2:+http://127.0.0.1:$2/revoked.crl}
password=secret

make_ca() { # name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/O=Test/CN=$1" \
    -keyout "$1.key" -out "$1.crt" 2> /dev/null
}

certify() { # name, CA, subject, alternative names, extra arguments of openssl ca
  local name=$1 ca=$2 subject=$3 alternatives=$4; shift 4
  openssl req -new -newkey "${KEY:-rsa:2048}" ${CURVE:+-pkeyopt ec_paramgen_curve:$CURVE} -nodes -subj "$subject" \
    -keyout "$name.key" -out "$name.csr" 2> /dev/null
  {
    echo "basicConstraints=CA:FALSE"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [ -z "$alternatives" ] || echo "subjectAltName=$alternatives"
    [ -z "$list_url" ] || echo "crlDistributionPoints=URI:$list_url"
  } > "$name.ext"
  openssl ca -batch -notext -config ca.cnf -name "ca_$ca" -in "$name.csr" -out "$name.crt" -extfile "$name.ext" \
    -preserveDN "$@" 2> /dev/null
}

stores() { # name, CA
  local name=$1 ca=$2
  openssl pkcs8 -topk8 -nocrypt -in "$name.key" -out "$name.pkcs8"
  cat "$name.crt" "$name.pkcs8" > "$name.pem"
  openssl pkcs12 -export -name "$name" -in "$name.crt" -inkey "$name.key" -certfile "$ca.crt" -passout "pass:$password" \
    -out "$name.p12"
  keytool -importkeystore -noprompt -srckeystore "$name.p12" -srcstoretype PKCS12 -srcstorepass "$password" \
    -destkeystore "$name.jks" -deststoretype JKS -deststorepass "$password" 2> /dev/null
}

trust() { # CA
  cp "$1.crt" "$1.pem"
  for type in PKCS12:p12 JKS:jks; do
    keytool -importcert -noprompt -alias "$1" -file "$1.crt" -keystore "$1.${type#*:}" -storetype "${type%:*}" \
      -storepass "$password" 2> /dev/null
  done
}

for ca in ca other; do
  make_ca "$ca"
  mkdir -p "db_$ca"
  : > "db_$ca/index"
  echo 01 > "db_$ca/serial"
  echo 01 > "db_$ca/crlnumber"
  cat >> ca.cnf <<CNF
[ca_$ca]
database=db_$ca/index
serial=db_$ca/serial
crlnumber=db_$ca/crlnumber
new_certs_dir=db_$ca
certificate=$ca.crt
private_key=$ca.key
default_md=sha256
default_days=36500
default_crl_days=36500
policy=policy
unique_subject=no
CNF
done
printf '[policy]\ncommonName=supplied\norganizationName=optional\norganizationalUnitName=optional\n' >> ca.cnf

certify server ca "/O=Test/CN=server" "DNS:localhost,IP:127.0.0.1,IP:::1"
KEY=ec CURVE=P-256 certify bob ca "/O=Example, Inc/OU=dev/CN=bob" ""
KEY=ec CURVE=P-256 certify carol ca "/O=Test/CN=carol" ""
KEY=ec CURVE=P-256 certify revoked ca "/O=Test/CN=revoked" ""
KEY=ec CURVE=P-256 certify expired ca "/O=Test/CN=expired" "" -startdate 20200101000000Z -enddate 20210101000000Z
KEY=ec CURVE=P-256 certify elsewhere ca "/O=Test/CN=elsewhere" "DNS:elsewhere.example"
KEY=ec CURVE=P-256 certify mallory other "/O=Test/CN=mallory" "DNS:localhost,IP:127.0.0.1"
for name in server bob carol revoked expired elsewhere; do stores "$name" ca; done
stores mallory other
trust ca
trust other
openssl ca -config ca.cnf -name ca_ca -revoke revoked.crt 2> /dev/null
openssl ca -config ca.cnf -name ca_ca -gencrl -out revoked.crl.pem 2> /dev/null
openssl crl -in revoked.crl.pem -outform DER -out revoked.crl
openssl pkcs8 -topk8 -v2 aes-256-cbc -passout "pass:$password" -in bob.key -out bob.encrypted
cat bob.encrypted bob.crt > bob-encrypted.pem
echo "$password" > password
