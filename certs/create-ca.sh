#!/bin/sh
# Makes a certificate authority of your own: DIR/ca.crt, to give to every client, and DIR/ca.key, to
# keep to yourself. Never overwrites one: every client would have to be given the new one.
#
#   certs/create-ca.sh DIR [COMMON_NAME]
set -eu

dir=${1:?usage: create-ca.sh DIR [COMMON_NAME]}
name=${2:-Portcullis CA}

if [ -e "$dir/ca.key" ] || [ -e "$dir/ca.crt" ]; then
  echo "create-ca: $dir already holds a CA; remove ca.key and ca.crt by hand if you mean to replace it" >&2
  exit 1
fi

mkdir -p "$dir"
umask 077
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
cat >"$settings" <<'CNF'
[req]
distinguished_name = name
prompt = no
[name]
CN = replaced by -subj
[ca]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
CNF

openssl ecparam -name prime256v1 -genkey -noout -out "$dir/ca.key.new"
openssl req -x509 -new -sha256 -days 3650 -key "$dir/ca.key.new" -subj "/CN=$name" \
  -config "$settings" -extensions ca -out "$dir/ca.crt.new"
chmod 644 "$dir/ca.crt.new"
mv "$dir/ca.key.new" "$dir/ca.key"
mv "$dir/ca.crt.new" "$dir/ca.crt"
