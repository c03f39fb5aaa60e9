# SPDX-License-Identifier: Apache-2.0
"""Self-test of tools/openapi: an API without faults, and one fault at a time put into it."""

import sys

CLEAN = """
openapi: 3.1.0
info: {title: t, version: "1"}
tags: [{name: Things}]
x-list-parameters: [Page]
paths:
  /things:
    get:
      operationId: things_list
      x-access: user
      tags: [Things]
      summary: List things
      x-list: Thing
    post:
      operationId: things_create
      x-access: admin
      tags: [Things]
      summary: Create a thing
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/ThingCreate"}}}
      responses:
        "200": {$ref: "#/components/responses/Thing"}
  /things/{id}:
    parameters: [{$ref: "#/components/parameters/Id"}]
    put:
      operationId: things_turn
      x-access: self
      tags: [Things]
      summary: Turn a thing
      parameters:
        - {name: speed, in: query, description: How fast., schema: {type: integer, minimum: 1}}
      requestBody:
        content: {application/json: {schema: {$ref: "#/components/schemas/Turn"}}}
      responses:
        "200": {$ref: "#/components/responses/Thing"}
components:
  parameters:
    Id: {name: id, in: path, required: true, description: Its number., schema: {type: integer}}
    Page: {name: page, in: query, description: Its number., schema: {type: integer}}
  responses:
    Thing:
      description: The thing.
      content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}
    BadRequest: &problem
      description: Wrong.
      content: {application/json: {schema: {type: object}}}
    Unauthorized: *problem
    Forbidden: *problem
    NotFound: *problem
    TooLarge: *problem
    Invalid: *problem
    TooOften: *problem
    Unavailable: *problem
  schemas:
    Thing:
      x-record: thing
      required: [name]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string, maxLength: 9}
    Turn:
      type: object
      required: [way]
      properties:
        way: {type: string, enum: [left, right]}
        secret: {type: [string, "null"], format: password}
        steps: {type: array, items: {type: number}}
"""

# (what stands in the clean text, what instead, part of the fault; or of what is written)
FAULTS = [
    ("      x-access: admin\n", "", "POST /things: has no access rule: give it x-access, one of"),
    ("x-access: admin", "x-access: everybody", "x-access must be one of public, self, user, admin"),
    ("x-access: admin", "x-access: admin\n      x-access: user", "x-access stands here twice"),
    ("      operationId: things_list\n", "", "operationId must be the name of the handler"),
    ("operationId: things_list", "operationId: things-list", "must be the name of the handler"),
    ("operationId: things_list", "operationId: things_turn", "is that of GET /things already"),
    ("      summary: Turn a thing\n", "", "PUT /things/{id}: has no summary"),
    ("      tags: [Things]\n      summary: Turn", "      tags: [X]\n      summary: Turn", "tags"),
    ('    parameters: [{$ref: "#/components/parameters/Id"}]\n', "", "id of the path is not desc"),
    ("/things/{id}:", "/things/x:", "parameter id is not in the path"),
    ("/things/{id}:", "/things/{name}:", "parameter name of the path is not described"),
    ("description: How fast., ", "", "parameter speed has no description"),
    ("{name: speed, in: query", "{name: speed, in: cookie", "speed is in cookie"),
    ("{name: speed, in: query", "{name: id, in: path", "parameter id stands here twice"),
    ("schema: {type: integer, minimum: 1}", "schema: {type: integer, multipleOf: 2}",
     "src/api/check.c doesn't check multipleOf"),
    ("schema: {type: integer, minimum: 1}", "schema: {type: object}", "x-checked-by"),
    ("enum: [left, right]", "pattern: l", "way: src/api/check.c doesn't check pattern"),
    ("way: {type: string", "way: {type: [string, integer]", "way: type must be one of"),
    ("x-list: Thing", "x-list: Thing\n      x-filters: [colour]",
     "filter colour is no field of Thing"),
    ("x-list: Thing", "x-list: Things", "there is no schema Things"),
    ("schemas/ThingCreate", "schemas/ThingMake", "#/components/schemas/ThingMake is not there"),
    ("required: [name]", "required: [id]", "required field id is none that clients give"),
    ('        "200": {$ref: "#/components/responses/Thing"}\ncomponents', "components",
     "has no answer for success"),
    ("    put:\n", "    putt:\n", "putt is no method"),
    ("description: The thing.\n      content: {application/json: {schema: {$ref: "
     '"#/components/schemas/Thing"}}}', "description: The thing.", "answer 200 has no content"),
    ("paths:\n", "paths: [\n", "openapi.yaml: "),
]

# Parts of what is written of the clean text.
WRITTEN = [
    ("handlers", "int things_turn(struct request *rq, struct err *err);"),
    ("routes", '.path = "/things", .access = ACCESS_USER, .handle = things_list'),
    ("routes", '{.name = "name", .kind = CHECK_ANY, .flags = CHECK_MANY'),
    ("routes", '{.name = "way", .kind = CHECK_STRING, .flags = CHECK_REQUIRED'),
    ("routes", ".flags = CHECK_NULLABLE | CHECK_SECRET"),
    ("routes", '{.name = "speed", .kind = CHECK_INT, .min = 1, .max = INT64_MAX}'),
]


def self_test(make):
    """Returns whether a case failed, after saying which."""
    failed = 0
    for old, new, part in FAULTS:
        assert old in CLEAN, old
        _, faults = make("routes", "1", CLEAN.replace(old, new, 1))
        if not [fault for fault in faults if part in fault]:
            failed += 1
            print(f"self-test: {part!r} is not among {faults}", file=sys.stderr)
    for kind, part in WRITTEN:
        made, faults = make(kind, "1", CLEAN)
        if faults or part not in made:
            failed += 1
            print(f"self-test: {kind}: {part!r} is not in {faults or made}", file=sys.stderr)
    print(f"self-test: {len(FAULTS) + len(WRITTEN) - failed} cases passed, {failed} failed")
    return failed > 0
