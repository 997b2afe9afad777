#!/bin/sh
# Makes what is missing in the volumes, and leaves the rest as it is.
set -eu
umask 077
at=/var/lib/portcullis

# shellcheck disable=SC2086 # several names
portcullis certs "$at/ca" $HOSTS
for name in ca.crt site.key site.crt; do
  cmp -s "$at/ca/$name" "$at/edge/$name" && continue
  cp "$at/ca/$name" "$at/edge/$name.new"
  mv "$at/edge/$name.new" "$at/edge/$name"
done

# The first one is not there any more once keys were rotated.
ls "$at"/auth/state/keys/*.pem >/dev/null 2>&1 || portcullis keys create --state "$at/auth/state"

if [ ! -s "$at/internal/secret" ]; then
  openssl rand -hex 32 >"$at/internal/secret.new"
  mv "$at/internal/secret.new" "$at/internal/secret"
fi

if [ ! -s "$at/auth/htpasswd" ]; then
  openssl rand -base64 15 | tr -d '\n' >"$at/auth/admin-password"
  portcullis user add --file "$at/auth/htpasswd" admin <"$at/auth/admin-password"
  echo "The password of admin stands in $at/auth/admin-password"
fi
