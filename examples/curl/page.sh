#!/bin/sh
# Print all needs, a line of JSON a page: page.sh [ROWS_A_PAGE]
set -eu
node="${NODE:-http://localhost:8080}"
first="${1:-100}"
query='query($first: Int, $after: String) { needs(first: $first, after: $after) { nodes { id title } pageInfo { hasNextPage endCursor } } }'

after=null
while true; do
	answer="$(curl --silent --show-error "$node/graphql" --header 'content-type: application/json' \
		--data "{\"query\": \"$query\", \"variables\": {\"first\": $first, \"after\": $after}}")"
	case "$answer" in *'"errors":'*)
		echo "$answer" >&2
		exit 1
		;;
	esac
	echo "$answer"
	case "$answer" in *'"hasNextPage":false'*) break ;; esac
	after="$(echo "$answer" | grep -o '"endCursor":"[^"]*"' | cut -d: -f2)"
done
