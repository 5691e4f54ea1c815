// Mercurius 16 with its JIT from the first request, batching loaders, and SQL written by hand under named statements.
import Fastify from "fastify";
import mercurius from "mercurius";
import { Pool } from "pg";

const { host, database, user, connections, port } = JSON.parse(process.argv[2]);
const pool = new Pool({ host, database, user, max: connections });
const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const time = (column) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const NEED = `n.publisher_id, 'gotong:' || p.scid || '/need/' || n.record_id as id, n.title_text -> 0 ->> 'text' as title,
  n.description_text -> 0 ->> 'text' as description, n.kind, n.category, n.urgency, n.state,
  n.quantity_value::text as "quantityValue", n.quantity_unit as "quantityUnit",
  n.money_amount::text as "moneyAmount", n.money_currency as "moneyCurrency", n.region,
  ${time("n.needed_by")} as "neededBy", ${time("n.expires_at")} as "expiresAt", ${time("n.received_at")} as "receivedAt"`;
const FROM = `need n join organization p on p.publisher_id = n.publisher_id and p.visible`;
const NEWEST = "order by n.received_at desc, n.record_id desc";
const STEMS = (configuration) => `(websearch_to_tsquery('${configuration}', ($1::text[])[1])
  && (websearch_to_tsquery('${configuration}', ($1::text[])[2]) || (quote_literal(($1::text[])[3]) || ':*')::tsquery))`;

const schema = `
  type Community { id: ID! slug: String! name: String! }
  type News { id: ID! text: String! publishedAt: String! }
  type Need {
    id: ID! title: String! description: String kind: String! category: String! urgency: Int! state: String!
    quantityValue: String quantityUnit: String moneyAmount: String moneyCurrency: String region: String!
    neededBy: String expiresAt: String! receivedAt: String! publisher: Community! news(first: Int!): [News!]!
  }
  type Query {
    needs(category: String!, state: String!, first: Int!): [Need!]!
    need(scid: String!, recordId: ID!): Need
    search(words: [String]!, region: String!, first: Int!): [Need!]!
  }`;

const resolvers = {
  Query: {
    needs: (_, { category, state, first }) =>
      rows("needs", `select ${NEED} from ${FROM} where n.category = $1 and n.state = $2 and not n.exercise
        ${NEWEST} limit $3`, [category, state, first]),
    need: async (_, { scid, recordId }) =>
      (await rows("need", `select ${NEED} from ${FROM} where p.scid = $1 and n.record_id = $2`, [scid, recordId]))[0],
    search: (_, { words, region, first }) =>
      rows("search", `select ${NEED} from ${FROM} where not n.exercise and (n.publisher_id, n.record_id) in (
        select s.publisher_id, s.record_id from need_search s where s.region_path @> array[$2::text]
        and s.document @@ (${STEMS("gotong_indonesian")} || ${STEMS("gotong_english")}))
        ${NEWEST} limit $3`, [words, region, first]),
  },
};

const loaders = {
  Need: {
    publisher: async (queries) => {
      const found = new Map();
      const ids = [...new Set(queries.map(({ obj }) => obj.publisher_id))];
      for (const row of await rows("publishers", `select o.publisher_id, 'gotong:' || o.scid as id, o.slug,
          o.name_text -> 0 ->> 'text' as name from organization o
          where o.visible and o.publisher_id = any($1::integer[])`, [ids])) {
        found.set(row.publisher_id, row);
      }
      return queries.map(({ obj }) => found.get(obj.publisher_id));
    },
    news: async (queries) => {
      const found = new Map(queries.map(({ obj }) => [obj.id, []]));
      for (const row of await rows("news", `select x.* from unnest($1::text[]) as wanted(uri) cross join lateral (
          select u.about_uri, 'gotong:' || p.scid || '/update/' || u.record_id as id,
                 u.body_text -> 0 ->> 'text' as text, ${time("u.published_at")} as "publishedAt"
          from update_post u join organization p on p.publisher_id = u.publisher_id and p.visible
          where u.about_uri = wanted.uri and not u.exercise
          order by u.received_at desc, u.record_id desc limit $2) x`,
          [[...found.keys()], queries[0].params.first])) {
        found.get(row.about_uri).push(row);
      }
      return queries.map(({ obj }) => found.get(obj.id));
    },
  },
};

const app = Fastify({ logger: false, keepAliveTimeout: 75_000 });
app.register(mercurius, { schema, resolvers, loaders, jit: 1, graphiql: false });
await app.listen({ port, host: "127.0.0.1" });
