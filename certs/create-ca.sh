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
# Nobody else can put a file or a link into it.
new=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
cat >"$new/settings" <<'CNF'
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

openssl ecparam -name prime256v1 -genkey -noout -out "$new/ca.key"
openssl req -x509 -new -sha256 -days 3650 -key "$new/ca.key" -subj "/CN=$name" \
  -config "$new/settings" -extensions ca -out "$new/ca.crt"
chmod 644 "$new/ca.crt"
mv "$new/ca.key" "$dir/ca.key"
mv "$new/ca.crt" "$dir/ca.crt"
