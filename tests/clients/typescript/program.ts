/**
 * What a page about trade with China would ask of Khorgos: flows page by page, projects, where a number comes from,
 * and what to do about a name that is not known. Prints what it found as JSON.
 *
 *     node program.ts http://localhost:8000
 */
import createClient from "openapi-fetch";
import type { components, paths } from "./khorgos.d.ts";

type Schemas = components["schemas"];
type FlowQuery = NonNullable<paths["/v1/trade/flows"]["get"]["parameters"]["query"]>;

const baseUrl = process.argv[2] ?? "http://localhost:8000";

/** JSON alone is read here, so no answer is typed as the text of a CSV; lists go as `a,b`. */
const api = createClient<paths, "application/json" | "application/problem+json">({
  baseUrl,
  headers: { Accept: "application/json" },
  querySerializer: { array: { style: "form", explode: false } },
});

/** An error of the service: a stable code, what is wrong with which parameter, what was probably meant. */
class ApiError extends Error {
  readonly problem: Schemas["Problem"];

  constructor(problem: Schemas["Problem"]) {
    super(`${problem.code} ${problem.detail}`);
    this.name = "ApiError";
    this.problem = problem;
  }
}

/** A page or a record. JSON of another form comes only where shape=array or format=json-stat asks for it. */
type Enveloped<T> = Extract<T, { data: unknown; meta: unknown }>;

function isEnveloped<T extends object>(answer: T | undefined): answer is Enveloped<T> {
  return answer !== undefined && "data" in answer;
}

/** Give the answer, or throw what the service says is wrong. */
function answered<T extends object>(
  result: { data: T; error?: never } | { data?: never; error: Schemas["Problem"] },
): Enveloped<T> {
  if (result.error !== undefined) {
    throw new ApiError(result.error);
  }
  if (!isEnveloped(result.data)) {
    throw new Error("the answer is neither a page nor a record");
  }
  return result.data;
}

/** Types have every field optional, since `fields` can leave any out: hold a row to those that were asked for. */
function having<Row extends object, Field extends keyof Row>(
  row: Row,
  ...fields: Field[]
): Row & Required<Pick<Row, Field>> {
  const missing = fields.filter((field) => row[field] === undefined);
  if (missing.length > 0) {
    throw new Error(`the row has no ${missing.join(", ")}`);
  }
  return row as Row & Required<Pick<Row, Field>>;
}

/** Give every page of flows: `links.next` leads on, its cursor is where the page before ended. */
async function* pagesOfFlows(query: FlowQuery) {
  let next: string | null = "";
  while (next !== null) {
    const cursor: string | null = new URL(next, baseUrl).searchParams.get("cursor");
    const asked: FlowQuery = cursor === null ? query : { ...query, cursor };
    const page = answered(await api.GET("/v1/trade/flows", { params: { query: asked } }));
    yield page;
    next = page.links.next;
  }
}

async function flowsOf(query: FlowQuery) {
  const rows = [];
  let pages = 0;
  let release = 0;
  for await (const page of pagesOfFlows(query)) {
    pages += 1;
    release = page.meta.release;
    for (const row of page.data) {
      // With shape=wide the rows would be series, which have no id.
      if ("id" in row) {
        rows.push(having(row, "id", "reporter_name", "partner_name", "flow", "period", "value_usd", "evidence"));
      }
    }
  }
  return { pages, release, rows };
}

async function projectsOf(status: NonNullable<Schemas["ProjectRow"]["status"]>[]) {
  const fields = ["slug", "name", "status", "countries"] as const;
  const query = { status, fields: [...fields], sort: ["name"] };
  const page = answered(await api.GET("/v1/projects", { params: { query } }));
  return page.data.map((project) => having(project, ...fields));
}

/** Give the receipt of a number: its words and who said them. */
async function receiptOf(figure: string) {
  const { data } = answered(await api.GET("/v1/figures/{id}", { params: { path: { id: figure } } }));
  const receipt = having(data, "as_stated", "exact", "stated_by_name", "citation");
  return {
    figure,
    as_stated: receipt.as_stated,
    exact: receipt.exact,
    stated_by_name: receipt.stated_by_name,
    citation: receipt.citation.text,
  };
}

/** Ask for a country as somebody typed it; where it is not known, give what the service says. */
async function refusalOf(reporter: string) {
  const { error, response } = await api.GET("/v1/trade/flows", { params: { query: { reporter: [reporter] } } });
  if (response.status !== 422 || error === undefined) {
    return null;
  }
  const { code, errors } = error;
  return {
    code,
    wrong: errors.map(({ parameter, value, did_you_mean }) => ({ parameter, value, did_you_mean })),
  };
}

const flows = await flowsOf({
  country: ["kazakhstan", "uzbekistan"],
  flow: ["total"],
  year: [2024, 2025],
  sort: ["-value_usd", "id"],
  limit: 2,
});
const figure = flows.rows[0]?.evidence.find(({ field }) => field === "value_usd")?.figure;
const summary = {
  release: flows.release,
  pages: flows.pages,
  flows: flows.rows.map(({ id, reporter_name, partner_name, period, value_usd }) => ({
    id,
    text: `${reporter_name} and ${partner_name}, ${period ?? "period not stated"}`,
    value_usd,
  })),
  projects: await projectsOf(["operational", "completed"]),
  receipt: figure ? await receiptOf(figure) : null,
  refused: await refusalOf("Kazakstan"),
};
console.log(JSON.stringify(summary, null, 2));
