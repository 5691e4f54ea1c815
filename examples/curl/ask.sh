#!/bin/sh
# Ask for urgent needs inside a region: ask.sh [REGION]
set -eu
node="${NODE:-http://localhost:8080}"
region="${1:-32}"

# The question stays the same text for every region: values travel as variables.
curl --silent --show-error "$node/graphql" \
	--header 'content-type: application/json' --header 'accept-language: en' --data @- <<JSON
{
  "query": "query(\$filter: NeedFilter) { needs(filter: \$filter, orderBy: URGENCY, first: 10) { totalCount nodes { id title urgency place { region { name } } publisher { name } } } }",
  "variables": {"filter": {"region": "$region", "urgencyAtLeast": "HIGH"}}
}
JSON
