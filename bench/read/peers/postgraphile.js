// PostGraphile 5 as its documentation advises for production: one pool, prepared statements, no GraphiQL, no watching,
// lists instead of connections (cheaper), nothing in the schema but the views it is asked about.
import { createServer } from "node:http";

import { Pool } from "pg";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const { host, database, user, connections, port } = JSON.parse(process.argv[2]);
const pool = new Pool({ host, database, user, max: connections });
const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ pool, schemas: ["peer"] })],
  schema: { defaultBehavior: "-connection +list +resource:list +query:resource:list -insert -update -delete" },
  grafserv: { graphiql: false, watch: false, websockets: false, graphqlPath: "/graphql" },
  grafast: { explain: false },
});
const server = createServer();
await instance.createServ(grafserv).addTo(server);
server.keepAliveTimeout = 75_000;
server.listen(port, "127.0.0.1");
if (process.argv[3] === "schema") {
  const { printSchema } = await import("graphql");
  console.log(printSchema((await instance.getSchemaResult()).schema));
}
