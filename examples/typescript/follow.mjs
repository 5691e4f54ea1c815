// Be told about new needs and miss none: node follow.mjs CURSOR_FILE [REGION]
//
// The cursor is saved after the need was dealt with: after a crash a need may come twice, and none is lost.
// @ts-check

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

/** @typedef {{ needPublished: { cursor: string, need: { id: string, title: string } } }} Published */

const NODE = process.env.NODE ?? "http://localhost:8080";
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 60_000;
const [file = "cursor.txt", region = "32"] = process.argv.slice(2);

const FOLLOW = `
  subscription Follow($filter: NeedFilter, $after: String) {
    needPublished(filter: $filter, after: $after) { cursor need { id title } }
  }`;

const client = createClient({
  url: `${NODE.replace("http", "ws")}/graphql`,
  webSocketImpl: WebSocket,
  retryAttempts: 0, // the client would ask the same question again, with the cursor of then: we ask with that of now
});

/** @returns {string | null} the place of the last event dealt with */
function savedCursor() {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** @param {string} cursor */
function save(cursor) {
  writeFileSync(`${file}.new`, cursor);
  renameSync(`${file}.new`, file); // all or nothing
}

async function follow() {
  const variables = { filter: { region }, after: savedCursor() };
  for await (const { data, errors } of client.iterate({ query: FOLLOW, variables })) {
    if (errors) throw errors;
    const { cursor, need } = /** @type {Published} */ (/** @type {unknown} */ (data)).needPublished;
    console.log(`${need.title}\t${need.id}`);
    save(cursor);
  }
}

for (let retryMs = RETRY_FIRST_MS; ; retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)) {
  const before = savedCursor();
  try {
    await follow();
  } catch (error) {
    if (Array.isArray(error)) {
      // GraphQL errors: connecting again would not help. STREAM_CHANGED: ask needs(filter: {receivedAfter: ...})
      // once for what you may have missed, then begin without a cursor.
      console.error(error.map(({ extensions }) => extensions.code).join());
      process.exit(1);
    }
    console.error(`connecting again in ${retryMs} ms`);
  }
  if (savedCursor() !== before) retryMs = RETRY_FIRST_MS;
  await new Promise((resolve) => setTimeout(resolve, retryMs));
}
