// Ask for urgent needs inside a region: node ask.mjs [REGION]
//
// Types are written as JSDoc: TypeScript checks them (npm run check), Node.js runs the file as it is.
// @ts-check

/**
 * What the question below answers. Generate such types from /graphql if you ask much.
 * @typedef {{ id: string, title: string, urgency: "LOW" | "MEDIUM" | "HIGH" | "CRITICAL", publisher: { name: string } }} Need
 * @typedef {{ message: string, path?: (string | number)[], extensions: { code: string } }} GraphQLError
 */

const NODE = process.env.NODE ?? "http://localhost:8080";
const TIMEOUT_MS = 30_000;

const URGENT = `
  query Urgent($region: String!) {
    needs(filter: { region: $region, urgencyAtLeast: HIGH }, orderBy: URGENCY, first: 10) {
      nodes { id title urgency publisher { name } }
    }
  }`;

/** The node refused the question; `codes` say why and never change their meaning. */
export class Refused extends Error {
  /** @param {GraphQLError[]} errors */
  constructor(errors) {
    super(errors.map((error) => `${error.extensions.code}: ${error.message}`).join("\n"));
    this.codes = errors.map((error) => error.extensions.code);
  }
}

/**
 * Return `data` of the answer; throws Refused.
 * @template Data
 * @param {string} query
 * @param {Record<string, unknown>} variables
 * @returns {Promise<Data>}
 */
export async function ask(query, variables) {
  const response = await fetch(`${NODE}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", "accept-language": "en" },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  /** @type {{ data: Data, errors?: GraphQLError[] }} */
  const answer = await response.json();
  if (answer.errors) throw new Refused(answer.errors);
  return answer.data;
}

try {
  /** @type {{ needs: { nodes: Need[] } }} */
  const { needs } = await ask(URGENT, { region: process.argv[2] ?? "32" });
  for (const need of needs.nodes) console.log(`${need.urgency}\t${need.title}\t${need.publisher.name}\t${need.id}`);
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
