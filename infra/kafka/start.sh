#!/bin/sh
# Starts a broker in the official image: settings into memory, the data folder formatted once, then the broker itself.
# The image's own way puts settings together from KAFKA_… variables and cannot make SCRAM accounts, which the brokers
# need before they can know one another.
set -eu
umask 077
: "${NODE_ID:?}" "${CLUSTER_ID:?}" "${ADMIN_PASSWORD:?}" "${NODE_PASSWORD:?}" "${PARTICIPANT_PASSWORD:?}"
for password in "$ADMIN_PASSWORD" "$NODE_PASSWORD" "$PARTICIPANT_PASSWORD"; do
  case "$password" in
    *[!A-Za-z0-9_-]*) echo "passwords for Kafka are of the characters A-Z a-z 0-9 _ -" >&2; exit 64 ;;
  esac
done

properties=/tmp/server.properties # a file in memory
sed -e "s|@NODE_ID@|$NODE_ID|g" -e "s|@ADMIN_PASSWORD@|$ADMIN_PASSWORD|g" \
  "${TEMPLATE:-/etc/carenet/server.properties}" > "$properties"

# On a folder that is formatted already this changes nothing: later accounts are made by an admin, not here.
"$KAFKA_HOME/bin/kafka-storage.sh" format --ignore-formatted --cluster-id="$CLUSTER_ID" --config="$properties" \
  --add-scram "SCRAM-SHA-512=[name=admin,password=$ADMIN_PASSWORD]" \
  --add-scram "SCRAM-SHA-512=[name=node,password=$NODE_PASSWORD]" \
  --add-scram "SCRAM-SHA-512=[name=participant,password=$PARTICIPANT_PASSWORD]"

unset ADMIN_PASSWORD NODE_PASSWORD PARTICIPANT_PASSWORD password
exec "$KAFKA_HOME/bin/kafka-server-start.sh" "$properties"
