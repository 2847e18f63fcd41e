#!/bin/sh
# Installs the wheel and what deploy/locks/$1.lock pins into /opt/reelgate. Runs inside the build of an image.
set -eu

install() {
    bin/pip --python /opt/reelgate/bin/python install --no-cache-dir --no-compile --no-deps "$@"
}

python3 -m venv --without-pip /opt/reelgate
install --require-hashes --requirement "deploy/locks/$1.lock"
install wheel/*.whl
# Debugging symbols of extension modules are a fifth of all. What lies in a .libs folder has none, and is left alone.
find /opt/reelgate/lib -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} +
