# SPDX-License-Identifier: Apache-2.0
"""Reads api/openapi.yaml, checks it and completes it to what /openapi.json says.

    doc = Document(text)
    doc.faults           # sentences; the rest is of use only when there are none
    doc.operations       # sorted as the route table
    doc.complete()       # the whole OpenAPI document
"""

import copy
import re

import yaml

ACCESS = ("public", "self", "user", "admin", "worker", "cluster")
METHODS = ("get", "post", "put", "patch", "delete")
REF = "#/components/"
SORTS = 8  # fields by which a list is sorted at most: LIST_SORT_MAX of src/api/list_query.h
INT64 = 2 ** 63 - 1
USER_SCHEMES = ("apiKey", "apiKeyHeader", "password", "session")
SCHEMES = {"public": (), "self": USER_SCHEMES, "user": USER_SCHEMES, "admin": USER_SCHEMES,
           "worker": ("workerToken",), "cluster": ("clusterToken",)}
JSON = "application/json"
EVENTS = "text/event-stream"


NOTES = {"x-checked-by", "x-body-of", "x-filter", "x-create-only"}


class Loader(yaml.SafeLoader):
    """YAML in which a key may stand once only."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands here twice",
                                           problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Operation:
    """One method of one path, with what path and access rule bring along."""

    def __init__(self, path, method, raw, shared):
        self.path, self.method, self.raw = path, method, raw
        self.where = f"{method.upper()} {path}"
        self.id = raw.get("operationId")
        self.access = raw.get("x-access")
        self.list_of = raw.get("x-list")
        self.is_stream = bool(raw.get("x-stream"))
        self.parameters = shared + raw.get("parameters", [])  # refs are resolved by Document
        self.body = raw.get("requestBody")

    def body_schemas(self):
        """Media type -> schema of the body."""
        return {kind: media.get("schema", {})
                for kind, media in (self.body or {}).get("content", {}).items()}


class Document:
    """The API as it is written, and what is wrong with it."""

    def __init__(self, text):
        self.faults = []
        self.operations = []
        self.written = []    # the same in the order of the file
        try:
            self.root = yaml.load(text, Loader) or {}
        except yaml.YAMLError as error:
            self.fault("openapi.yaml", " ".join(str(error).split()))
            return
        self.components = self.root.setdefault("components", {})
        self.schemas = self.components.setdefault("schemas", {})
        self.records = {name: schema for name, schema in self.schemas.items()
                        if "x-record" in schema}
        self.derive_schemas()
        self.read_operations()
        self.check_refs(self.root, "openapi.yaml")
        if not self.faults:
            for operation in self.operations:
                self.check_operation(operation)
            self.check_ids()

    def fault(self, where, text):
        self.faults.append(f"{where}: {text}")

    # --- references ------------------------------------------------------------------------------

    def resolve(self, value):
        """The thing itself where `value` is a reference; what stands beside it wins."""
        seen = 0
        while isinstance(value, dict) and "$ref" in value:
            group, _, name = value["$ref"].removeprefix(REF).partition("/")
            found = self.components.get(group, {}).get(name)
            seen += 1
            if found is None or seen > 8:
                return {}
            value = {**found, **{key: item for key, item in value.items() if key != "$ref"}}
        return value

    def check_refs(self, value, where):
        if isinstance(value, list):
            for item in value:
                self.check_refs(item, where)
        elif isinstance(value, dict):
            if isinstance(value.get("$ref"), str) and not self.resolve(value):
                self.fault(where, f"{value['$ref']} is not there")
            for key, item in value.items():
                self.check_refs(item, f"{where}: {key}" if where == "openapi.yaml" else where)

    # --- schemas ---------------------------------------------------------------------------------

    def derive_schemas(self):
        """Makes the bodies and answers of records, and the parts of them."""
        for name, schema in self.records.items():
            required = schema.get("required", [])
            fields = schema.get("properties", {})
            shown = {key: field for key, field in fields.items() if not field.get("writeOnly")}
            taken = {key: field for key, field in fields.items() if not field.get("readOnly")}
            kept = {key: field for key, field in taken.items() if not field.get("x-create-only")}
            if "version" in fields:  # a write may name the one that it means
                kept["version"] = {key: fields["version"][key] for key in ("type", "description")}
            kept = {key: {word: value for word, value in field.items()
                          if word not in ("readOnly", "default")} for key, field in kept.items()}
            for key in set(required) - taken.keys():
                self.fault(f"schema {name}", f"required field {key} is none that clients give")
            self.schemas[name] = {"type": "object", "required": list(shown), "properties": shown,
                                  "additionalProperties": False, "x-record": schema["x-record"]}
            self.schemas[name + "Create"] = {
                **{key: value for key, value in schema.items() if key in ("if", "then", "allOf")},
                "type": "object", "required": required, "properties": taken,
                "x-body-of": name}
            self.schemas[name + "Update"] = {"type": "object", "properties": kept,
                                             "x-body-of": name}
        for name, schema in list(self.schemas.items()):
            if "x-more-than" in schema:
                base = self.schemas.get(schema["x-more-than"], {})
                self.schemas[name] = {
                    **base, "required": base.get("required", []) + schema.get("required", []),
                    "properties": {**base.get("properties", {}), **schema["properties"]}}
            if "x-part-of" in schema:
                whole = self.records.get(schema["x-part-of"], {}).get("properties", {})
                fields = schema.get("x-fields", [])
                for key in set(fields) - whole.keys():
                    self.fault(f"schema {name}", f"{schema['x-part-of']} has no field {key}")
                self.schemas[name] = {
                    "type": "object", "x-body-of": schema["x-part-of"],
                    "properties": {key: whole[key] for key in fields if key in whole}}

    # --- operations ------------------------------------------------------------------------------

    def read_operations(self):
        for path, item in self.root.get("paths", {}).items():
            for method in item.keys() - {"parameters"} - set(METHODS):
                self.fault(path, f"{method} is no method, use one of {', '.join(METHODS)}")
            for method in item:
                if method in METHODS:
                    self.operations.append(
                        Operation(path, method, item[method], item.get("parameters", [])))
        self.written = list(self.operations)
        self.operations.sort(key=lambda one: one.path)  # stable: methods stay in their order
        for operation in self.operations:
            if operation.list_of:
                operation.parameters += self.list_parameters(operation)
            operation.parameters = [self.resolve(one) for one in operation.parameters]

    def list_parameters(self, operation):
        fields = self.schemas.get(operation.list_of, {}).get("properties", {})
        names = operation.raw.get("x-filters")
        if names is None:
            names = [key for key, field in fields.items() if self.is_filter(field)]
        for name in set(names) - fields.keys():
            self.fault(operation.where, f"filter {name} is no field of {operation.list_of}")
        shared = [self.resolve({"$ref": f"{REF}parameters/{name}"})
                  for name in self.root.get("x-list-parameters", [])]
        shared = [self.sorter_of(one, fields) if one.get("name") == "sort_by" else one
                  for one in shared]
        return shared + [self.filter_of(name, fields[name]) for name in names if name in fields]

    def sorter_of(self, parameter, fields):
        """The parameter that sorts, with the fields by which this list can be sorted."""
        names = [key for key, field in fields.items()
                 if not {"array", "object"} & set(types_of(self.resolve(field)))]
        name = f"-?({'|'.join(names)})"
        return {**parameter, "schema": {"type": "string",
                                        "pattern": f"^{name}(,{name}){{0,{SORTS - 1}}}$"}}

    def is_filter(self, field):
        """Whether src/api/list_query.c takes it as a filter."""
        field = self.resolve(field)
        kinds = set(types_of(field)) - {"null"}
        if kinds == {"array"}:
            return set(types_of(self.resolve(field.get("items", {})))) <= {"string", "integer"}
        return kinds <= {"string", "integer", "boolean"} and kinds != set() \
            and field.get("format") != "date-time"

    def filter_of(self, name, field):
        field = self.resolve(field)
        words, says = field.get("enum"), "with this"
        if "array" in types_of(field):
            field, words, says = self.resolve(field["items"]), None, "that have this in"
        kinds = [kind for kind in types_of(field) if kind != "null"]
        item = {"type": kinds[0] if kinds else "string"}
        if item["type"] == "integer":  # one that no row can have finds none
            item.update({"minimum": -INT64, "maximum": INT64})
        item.update({"enum": words} if words else {})
        return {"name": name, "in": "query",
                "description": f"Only rows {says} `{name}`; given more than once: any of them.",
                "schema": {"type": "array", "items": item}, "x-filter": True,
                "x-checked-by": "api/list_query.c"}

    # --- checks ----------------------------------------------------------------------------------

    def check_ids(self):
        seen = {}
        for operation in self.operations:
            if operation.id in seen:
                self.fault(operation.where, f"operationId {operation.id} is that of "
                                            f"{seen[operation.id]} already")
            seen[operation.id] = operation.where

    def check_operation(self, operation):
        where = operation.where
        if operation.access is None:
            self.fault(where, "has no access rule: give it x-access, one of " + ", ".join(ACCESS))
        elif operation.access not in ACCESS:
            self.fault(where, f"x-access must be one of {', '.join(ACCESS)}, "
                              f"not {operation.access}")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", str(operation.id or "")):
            self.fault(where, f"operationId must be the name of the handler in C, "
                              f"not {operation.id}")
        if not operation.raw.get("summary"):
            self.fault(where, "has no summary")
        known = [tag["name"] for tag in self.root.get("tags", [])]
        if [tag for tag in operation.raw.get("tags", []) if tag in known] == []:
            self.fault(where, f"tags must name one of {', '.join(known)}")
        if operation.list_of and operation.list_of not in self.schemas:
            self.fault(where, f"x-list: there is no schema {operation.list_of}")
        self.check_parameters(operation)
        self.check_answers(operation)

    def check_parameters(self, operation):
        where = operation.where
        in_path = [one["name"] for one in operation.parameters if one.get("in") == "path"]
        for name in re.findall(r"\{(\w+)\}", operation.path):
            if name not in in_path:
                self.fault(where, f"parameter {name} of the path is not described")
        for name in in_path:
            if "{" + name + "}" not in operation.path:
                self.fault(where, f"parameter {name} is not in the path")
            if name not in ("id", "text"):
                self.fault(where, f"parameter {name} of the path: only {{id}}, a number, and "
                                  "{text} are known")
        seen = set()
        for one in operation.parameters:
            if not one.get("description") or not one.get("schema"):
                self.fault(where, f"parameter {one.get('name')} has no description or no schema")
            if one.get("in") not in ("path", "query", "header"):
                self.fault(where, f"parameter {one.get('name')} is in {one.get('in')}, "
                                  "not in path, query or header")
            if (one.get("name"), one.get("in")) in seen:
                self.fault(where, f"parameter {one.get('name')} stands here twice")
            seen.add((one.get("name"), one.get("in")))

    def check_answers(self, operation):
        where = operation.where
        answers = self.answers_of(operation)
        if not [code for code in answers if code.startswith("2")]:
            self.fault(where, "has no answer for success")
        for code, answer in answers.items():
            answer = self.resolve(answer)
            media = answer.get("content", {})
            if code != "204" and not media:
                self.fault(where, f"answer {code} has no content")
            for kind, one in media.items():
                if not one.get("schema"):
                    self.fault(where, f"answer {code} {kind} has no schema")
        if operation.body and not operation.body_schemas():
            self.fault(where, "the body has no content")

    # --- completing ------------------------------------------------------------------------------

    def answers_of(self, operation):
        """The answers that are written, and those that come with rule, parameters and body."""

        def add(code, name):
            answers.setdefault(code, {"$ref": f"{REF}responses/{name}"})

        answers = dict(operation.raw.get("responses") or {})
        if operation.list_of:
            answers.setdefault("200", self.list_answer(operation))
        if operation.access != "public":
            add("401", "Unauthorized")
            add("403", "Forbidden")
        if operation.access in ("self", "user", "admin"):
            add("429", "TooOften")
        if operation.parameters or operation.body:
            add("422", "Invalid")
        if "{id}" in operation.path:
            add("404", "NotFound")
        if operation.body:
            add("400", "BadRequest")
            add("413", "TooLarge")
        add("503", "Unavailable")
        return dict(sorted(answers.items()))

    def list_answer(self, operation):
        name = operation.list_of + "Page"
        self.schemas.setdefault(name, {
            "type": "object", "required": ["items", "pagination"], "additionalProperties": False,
            "properties": {
                "items": {"type": "array",
                          "items": {"$ref": f"{REF}schemas/{operation.list_of}"}},
                "pagination": {"$ref": f"{REF}schemas/Pagination"}}})
        return {"description": "A page of rows, the newest first; with `watch` a stream.",
                "content": {JSON: {"schema": {"$ref": f"{REF}schemas/{name}"}},
                            EVENTS: {"schema": {"type": "string"}}}}

    def complete(self, version):
        """The document with everything said."""
        whole = copy.deepcopy(self.root)
        whole.pop("x-list-parameters", None)
        whole["info"]["version"] = version
        whole["paths"] = {}
        for operation in self.operations:
            raw = {key: value for key, value in operation.raw.items()
                   if key not in ("x-list", "x-filters")}
            raw["parameters"] = operation.parameters
            if not raw["parameters"]:
                del raw["parameters"]
            raw["responses"] = self.answers_of(operation)
            raw["security"] = [{name: []} for name in SCHEMES[operation.access]]
            whole["paths"].setdefault(operation.path, {})[operation.method] = raw
        whole["components"]["schemas"] = self.schemas
        prune(whole)
        return whole


def references(value):
    """The schemas that something refers to."""
    if isinstance(value, dict):
        name = value.get("$ref", "")
        if isinstance(name, str) and name.startswith(f"{REF}schemas/"):
            yield name.rpartition("/")[2]
    for item in value.values() if isinstance(value, dict) else \
            value if isinstance(value, list) else ():
        yield from references(item)


def prune(whole):
    """Takes out what nobody refers to, and notes that are for the generator only; says what is
    meant: an object without members may have any, an integer is one of 64 bits."""
    schemas = whole["components"]["schemas"]
    used, fresh = set(), set(references({**whole, "components": {
        key: value for key, value in whole["components"].items() if key != "schemas"}}))
    while fresh:
        used |= fresh
        fresh = {one for name in fresh for one in references(schemas[name])} - used
    whole["components"]["schemas"] = {
        name: without_notes(schema) for name, schema in sorted(schemas.items()) if name in used}
    whole["paths"] = without_notes(whole["paths"])


def without_notes(value):
    if isinstance(value, list):
        return [without_notes(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "integer" in types_of(value) and "minimum" in value and not value.get("readOnly"):
        value = {**value, "maximum": value.get("maximum", INT64)}  # what the server can read
    if "object" in types_of(value) and not {"properties", "allOf"} & value.keys():
        value = {**value, "additionalProperties": value.get("additionalProperties", True)}
    return {key: without_notes(item) for key, item in value.items() if key not in NOTES}


def types_of(schema):
    """The types that a schema allows, as a list."""
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]
