#!/bin/sh
# As the original's: a configuration file or a command of ours may stand alone, anything else is run as it is.
set -e
case "$1" in
  *.yaml | *.yml) set -- registry serve "$@" ;;
  serve | garbage-collect | help | -*) set -- registry "$@" ;;
  gateway | auth | core | quickstart | fsck | user | certs | config | health | keys | acl | robot | token | manual | completion)
    set -- portcullis "$@" ;;
esac
exec "$@"
