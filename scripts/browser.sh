#!/bin/sh
# Make sure a Chromium is there for the page tests; say clearly when it cannot be installed.
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
echo "Installing a headless browser for the page tests …"
if [ "$(id -u)" = 0 ]; then run=""; else run="sudo -n"; fi
if command -v apt-get >/dev/null 2>&1 &&
  $run apt-get update -qq >/dev/null 2>&1 &&
  $run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null 2>&1; then
  exit 0
fi
.venv/bin/python -m playwright install chromium >/dev/null 2>&1 && exit 0
echo "COULD NOT INSTALL a browser: the page tests will fail. Install Chromium by hand and run again." >&2
exit 0
