#!/usr/bin/env bash
# Creates the Secrets of the overlay `production` with random values, once: it refuses if there are any.
# Give it what others issued: ARK_API_KEY, the media bucket's AWS_… and the backups bucket's BACKUP_….
set -euo pipefail
: "${ARK_API_KEY:?}" "${AWS_ACCESS_KEY_ID:?}" "${AWS_SECRET_ACCESS_KEY:?}" "${AWS_REGION:?}"
: "${BACKUP_ACCESS_KEY_ID:?}" "${BACKUP_SECRET_ACCESS_KEY:?}"

MADE_HERE=app.kubernetes.io/managed-by=secrets.sh
if [ -n "$(kubectl -n reelgate get secrets -l $MADE_HERE -o name)" ]; then
  echo "There are Secrets already. Before the first start, delete them and begin again:" >&2
  echo "  kubectl -n reelgate delete secrets -l $MADE_HERE" >&2
  exit 1
fi

random() { openssl rand -hex 24; }
secret() {
  kubectl -n reelgate create secret generic "$@"
  kubectl -n reelgate label secret "$1" $MADE_HERE
}
# The label has CloudNativePG set the role's password again when the Secret changes.
login() {
  local name="postgres-${1/_/-}"
  secret "$name" --type=kubernetes.io/basic-auth --from-literal=username="$1" --from-literal=password="$2"
  kubectl -n reelgate label secret "$name" cnpg.io/reload=true
}
address() {
  echo "postgresql://$1:$2@postgres-rw:5432/$3?sslmode=verify-full&sslrootcert=/run/reelgate/postgres/ca.crt"
}

# Every service checks the same API keys, and both sides of the simulator know its key.
signing=$(random) simulating=$(random)

# A service's Secrets, one for its processes and one for its migrations, and a role of PostgreSQL for each.
service() {
  local name=$1 owner password
  shift
  owner=$(random) password=$(random)
  login "${name}_owner" "$owner"
  login "$name" "$password"
  secret "$name-migration" --from-literal=migration-database-url="$(address "${name}_owner" "$owner" "$name")"
  secret "$name" --from-literal=database-url="$(address "$name" "$password" "$name")" \
    --from-literal=key-checksum-secrets="$signing" "$@"
}

service billing
service webhooks --from-literal=secret-key="$(openssl rand -base64 32 | tr '+/' '-_')"
service jobs --from-literal=simulator-api-key="$simulating" --from-literal=ark-api-key="$ARK_API_KEY"
secret simulator --from-literal=simulator-api-key="$simulating"
secret media-store --from-literal=AWS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" \
  --from-literal=AWS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" --from-literal=AWS_REGION="$AWS_REGION"
secret postgres-backups --from-literal=access-key-id="$BACKUP_ACCESS_KEY_ID" \
  --from-literal=secret-access-key="$BACKUP_SECRET_ACCESS_KEY"
