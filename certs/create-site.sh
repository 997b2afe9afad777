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

for file in site.key site.crt; do
  if [ -d "$dir/$file" ]; then
    echo "create-site: $dir/$file is a folder; remove it" >&2
    exit 1
  fi
done

umask 077
# Nobody else can put a file or a link into it.
new=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
cat >"$new/settings" <<CNF
[site]
authorityKeyIdentifier = keyid,issuer
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
keyUsage = critical,digitalSignature,keyEncipherment
subjectAltName = $names
subjectKeyIdentifier = hash
CNF

openssl ecparam -name prime256v1 -genkey -noout -out "$new/site.key"
openssl req -new -sha256 -key "$new/site.key" -subj "/CN=Portcullis site" -out "$new/site.csr"
openssl x509 -req -sha256 -days 397 -in "$new/site.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" \
  -set_serial "0x$(openssl rand -hex 16)" -extfile "$new/settings" -extensions site \
  -out "$new/site.crt"
chmod 644 "$new/site.crt"
# The key last: one without a certificate is taken for somebody else's.
mv "$new/site.crt" "$dir/site.crt"
mv "$new/site.key" "$dir/site.key"
