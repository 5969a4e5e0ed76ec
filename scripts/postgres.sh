#!/bin/sh
# Make sure PostgreSQL's programs are there for the tests of the job store; say clearly when they
# cannot be installed. Nothing is started: the tests run a server of their own, on a socket in /tmp.
command -v initdb >/dev/null 2>&1 && exit 0
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0
echo "Installing PostgreSQL for the job store's tests …"
if [ "$(id -u)" = 0 ]; then run=""; else run="sudo -n"; fi
if command -v apt-get >/dev/null 2>&1 &&
  $run mkdir -p /etc/postgresql-common &&
  echo "create_main_cluster = false" | $run tee /etc/postgresql-common/createcluster.conf >/dev/null &&
  $run apt-get update -qq >/dev/null 2>&1 &&
  $run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null 2>&1; then
  exit 0
fi
echo "COULD NOT INSTALL PostgreSQL: its tests will be skipped. Install it by hand and run again." >&2
exit 0
