#!/bin/sh
# Makes a site certificate, signed by the CA in DIR, for the names and addresses by which clients call
# the registry: DIR/site.crt and DIR/site.key. An earlier one is replaced.
#
#   certs/create-site.sh DIR NAME_OR_ADDRESS...
set -eu

dir=${1:?usage: create-site.sh DIR NAME_OR_ADDRESS...}
shift
: "${1:?create-site: give at least one name or address}"

if [ ! -e "$dir/ca.key" ]; then
  echo "create-site: there is no CA in $dir; make one with create-ca.sh $dir" >&2
  exit 1
fi

# Clients look at the subject alternative names only: DNS for names, IP for addresses.
names=
for name in "$@"; do
  case $name in
    *:*) kind=IP ;;
    *[!0-9.]*) kind=DNS ;;
    *.*.*.*) kind=IP ;;
    *) kind=DNS ;;
  esac
  names="${names:+$names,}$kind:$name"
done

umask 077
settings=$(mktemp)
trap 'rm -f "$settings" "$dir/site.csr"' EXIT
cat >"$settings" <<CNF
[site]
authorityKeyIdentifier = keyid,issuer
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
keyUsage = critical,digitalSignature,keyEncipherment
subjectAltName = $names
subjectKeyIdentifier = hash
CNF

openssl ecparam -name prime256v1 -genkey -noout -out "$dir/site.key.new"
openssl req -new -sha256 -key "$dir/site.key.new" -subj "/CN=Portcullis site" -out "$dir/site.csr"
openssl x509 -req -sha256 -days 397 -in "$dir/site.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" \
  -set_serial "0x$(openssl rand -hex 16)" -extfile "$settings" -extensions site \
  -out "$dir/site.crt.new"
chmod 644 "$dir/site.crt.new"
mv "$dir/site.key.new" "$dir/site.key"
mv "$dir/site.crt.new" "$dir/site.crt"
