// SPDX-License-Identifier: Apache-2.0
/*
 * Speaks with a real server as the UI will. SERVER and KEY (an administrator's) in the environment.
 * That it compiles is half of the test: what the file forbids must be an error of types.
 */
import assert from "node:assert/strict";
import { ApiError, connect, unwrap, type Schemas } from "../src/lib/api/client.js";

const { SERVER = "", KEY = "" } = process.env;
const api = connect(SERVER, KEY);

async function refused(call: Promise<unknown>, status: number): Promise<ApiError> {
  const error: unknown = await call.then(
    () => assert.fail(`no error ${status}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ApiError, String(error));
  assert.equal(error.status, status);
  return error;
}

function modelNamed(name: string): Schemas["ModelCreate"] {
  return { name, source: "local_path", local_path: "/none.gguf", replicas: 0 };
}

// ---- what must not compile ----

// @ts-expect-error a model has a name
const nameless: Schemas["ModelCreate"] = { source: "local_path" };
// @ts-expect-error there is no such source
const floppy: Schemas["ModelCreate"] = { name: "x", source: "floppy" };
// @ts-expect-error ids are numbers
void (() => api.GET("/v2/models/{id}", { params: { path: { id: "one" } } }));
// @ts-expect-error there is no such path
void (() => api.GET("/v2/nothing"));
void [nameless, floppy];

// ---- against the server ----

const version = unwrap(await connect(SERVER).GET("/version"));
assert.match(version.version, /^\d+\.\d+/);

const made = unwrap(await api.POST("/v2/models", { body: modelNamed("typed") }));
assert.equal(made.name, "typed");
assert.equal(made.placement_strategy, "auto");

const page = unwrap(
  await api.GET("/v2/models", {
    params: { query: { name: ["typed", "nobody"], sort_by: "-created_at", perPage: 5 } },
  }),
);
assert.deepEqual(page.items, [made]);
assert.equal(page.pagination.total, 1);

const path = { id: made.id };
const changed = unwrap(
  await api.PUT("/v2/models/{id}", {
    params: { path },
    body: { description: "by types", version: made.version },
  }),
);
assert.equal(changed.description, "by types");

const stale = await refused(
  api
    .PUT("/v2/models/{id}", { params: { path }, body: { replicas: 0, version: made.version } })
    .then(unwrap),
  409,
);
assert.equal((stale.problem.current as Schemas["Model"]).version, changed.version);

const invalid = await refused(
  api.PUT("/v2/models/{id}", { params: { path }, body: { replicas: -1 } }).then(unwrap),
  422,
);
assert.match(invalid.message, /replicas: must be 0-1000, not -1/);

assert.equal(unwrap(await api.DELETE("/v2/models/{id}", { params: { path } })), null);
await refused(api.GET("/v2/models/{id}", { params: { path } }).then(unwrap), 404);
await refused(connect(SERVER).GET("/v2/users/me").then(unwrap), 401);
console.log("the typed client works");
