#!/bin/sh
# Publish the need described in a file and print the answer: publish.sh FILE.json KEY
#
# FILE.json holds the mutation's input (see need.json), TOKEN what `gotong token --as NAME` printed on the
# organization's own node. KEY names this one act: repeating the program with the same KEY publishes nothing twice.
set -eu
node="${NODE:-http://localhost:8080}"
query='mutation($input: PublishNeedInput!) { publishNeed(input: $input) { need { id state } userErrors { code message field } } }'

answer="$(curl --silent --show-error "$node/graphql" --header "authorization: Bearer $TOKEN" \
	--header 'content-type: application/json' --header "idempotency-key: $2" --data @- <<JSON
{"query": "$query", "variables": {"input": $(cat "$1")}}
JSON
)"
echo "$answer"
# `errors`: no token, no permission, no database. `userErrors`: a rule that the input breaks. Nothing was written then.
case "$answer" in *'"errors":'*) exit 1 ;; esac
case "$answer" in *'"userErrors":[]'*) ;; *) exit 1 ;; esac
