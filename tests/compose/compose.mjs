// Compose the SDL of standard input with a small second subgraph, by both libraries that gateways use.
// Exits with 1 when one refuses what is right, or accepts what is wrong.

import { readFileSync } from "node:fs";
import { composeServices as apollo } from "@apollo/composition";
import { composeServices as guild } from "@theguild/federation-composition";
import { buildSchema, parse } from "graphql";

const ours = readFileSync(0, "utf8");
const theirs = readFileSync(new URL("budget.graphql", import.meta.url), "utf8");
const libraries = { "@apollo/composition": apollo, "@theguild/federation-composition": guild };

function composed(compose, budget) {
  return compose([
    { name: "gotong", url: "http://gotong.test/graphql", typeDefs: parse(ours) },
    { name: "budget", url: "http://budget.test/graphql", typeDefs: parse(budget) },
  ]);
}

/** Return what is wrong with a supergraph: both subgraphs must own a part of Need. */
function wrongWith({ errors, supergraphSdl }) {
  if (errors?.length) return errors.map((error) => error.message);
  const { Need, Query } = buildSchema(supergraphSdl, { assumeValidSDL: true }).getTypeMap();
  const graphs = Need.astNode.directives
    .filter((directive) => directive.name.value === "join__type")
    .map((directive) => directive.arguments.find(({ name }) => name.value === "graph").value.value);
  const lost = ["title", "publisher", "budgetLine", "isBudgetCurrent"].filter((name) => !Need.getFields()[name]);
  const roots = ["needs", "budgetLines"].filter((name) => !Query.getFields()[name]);
  const leaked = ["_entities", "_service"].filter((name) => Query.getFields()[name]);
  return [
    ...(graphs.sort().join() === "BUDGET,GOTONG" ? [] : [`Need is in ${graphs}`]),
    ...[...lost, ...roots].map((name) => `${name} is lost`),
    ...leaked.map((name) => `${name} is in the supergraph`),
  ];
}

let failed = false;
for (const [name, compose] of Object.entries(libraries)) {
  const wrong = wrongWith(composed(compose, theirs));
  // A field both say they own, neither as shareable: if this composes, nothing was checked.
  const clash = composed(compose, theirs.replace("revision: Int! @external", "revision: Int! title: String!").replace(/.*@requires\(.*\n/, ""));
  if (!clash.errors?.length) wrong.push("a field with two owners was accepted");
  console.log(`${name}: ${wrong.length ? wrong.join("; ") : "composes"}`);
  failed ||= wrong.length > 0;
}
process.exit(failed ? 1 : 0);
