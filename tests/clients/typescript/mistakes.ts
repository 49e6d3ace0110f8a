/** What the generated types must not let through: where one of these lines compiles, the check fails. */
import createClient from "openapi-fetch";
import type { paths } from "./khorgos.d.ts";

const api = createClient<paths, "application/json" | "application/problem+json">();

export async function mistakes() {
  // @ts-expect-error there is no such path
  await api.GET("/v1/trade/flow");
  // @ts-expect-error the service is read-only
  await api.POST("/v1/trade/flows");
  // @ts-expect-error a figure is asked for by its id
  await api.GET("/v1/figures/{id}");
  // @ts-expect-error years are numbers, and a list
  await api.GET("/v1/trade/flows", { params: { query: { year: "2024" } } });
  // @ts-expect-error there is no such status
  await api.GET("/v1/projects", { params: { query: { status: ["finished"] } } });
  // @ts-expect-error a comparison needs both sides
  await api.GET("/v1/trade/compare", { params: { query: { reporter: "KAZ" } } });

  const { data, error } = await api.GET("/v1/projects");
  // @ts-expect-error data are there only where no error is
  data.meta.release.toFixed();
  if (error !== undefined) {
    // @ts-expect-error a problem's code is text
    error.code.toFixed();
    return;
  }
  // @ts-expect-error a list may be a bare array, where shape=array asks for one
  data.meta.release.toFixed();
  if (!("data" in data)) {
    return;
  }
  // @ts-expect-error the last page has no next
  data.links.next.length.toFixed();
  // @ts-expect-error a project's value may be unstated, and left out by `fields`
  data.data[0]?.value_usd.toFixed();
  // @ts-expect-error there is no such field
  data.data[0]?.worth;
}
