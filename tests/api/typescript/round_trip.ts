// Creates, lists and updates a task with a client of the types that openapi-typescript made.
// Usage: node round_trip.js SERVER TOKEN
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Task = components["schemas"]["Task"];

declare const process: { argv: string[] };
const [, , baseUrl, token] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const made = await client.POST("/accounts/api/tasks/", {
  body: { title: "Train the baseline", tags: ["ml"], metadata: { seed: { start: 7 } } },
});
check(made.data !== undefined, `not made: ${made.error?.detail}`);
const task: Task = made.data;

const changed = await client.PATCH("/accounts/api/tasks/{record_id}/", {
  params: { path: { record_id: task.id }, header: { "If-Match": made.response.headers.get("ETag")! } },
  body: { status: "completed" },
});
check(changed.data?.status === "completed", `not changed: ${changed.error?.detail}`);
check(changed.data.tags.length === 1, "the change of one field reset another");

const listed = await client.GET("/accounts/api/tasks/", { params: { query: { status: "completed" } } });
check(listed.data !== undefined, `not listed: ${listed.error}`);
const found = listed.data.tasks.find(({ id }) => id === task.id);
check(found?.title === "Train the baseline", "it is not in the list");
console.log(JSON.stringify({ id: task.id, completed_at: found.completed_at }));
