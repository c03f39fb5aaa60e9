# SPDX-License-Identifier: Apache-2.0
"""Writes the route table with its checks, and the prototypes of the handlers."""

from openapi_doc import types_of

SAID = {"description", "default", "example", "examples", "title"}  # what checks nothing
KEYWORDS = {
    "string": {"type", "enum", "minLength", "maxLength", "format"},
    "integer": {"type", "minimum", "maximum"},
    "number": {"type", "minimum", "maximum"},
    "boolean": {"type"},
    "array": {"type", "items", "minItems", "maxItems"},
    "object": {"type", "properties", "required"},
}
KINDS = {"string": "CHECK_STRING", "integer": "CHECK_INT", "number": "CHECK_NUMBER",
         "boolean": "CHECK_BOOL", "array": "CHECK_LIST", "object": "CHECK_OBJECT"}
BOUNDS = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems")}


def quoted(text):
    """A C string literal of plain text."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Checks:
    """The tables of checks; equal ones are written once."""

    def __init__(self, doc):
        self.doc = doc
        self.texts = []      # definitions in their order
        self.names = {}      # text of a definition -> its name

    def table(self, stem, declaration, rows):
        """Name of the static table of these rows; a zero row ends it."""
        text = "".join(f"    {row},\n" for row in rows)
        name = self.names.setdefault((declaration, text), f"{stem}_{len(self.names)}")
        if name == f"{stem}_{len(self.names) - 1}" and (declaration, text) not in self.texts:
            self.texts.append((declaration, text))
        return name

    def definitions(self):
        for declaration, text in self.texts:
            name = self.names[declaration, text]
            yield f"{declaration} {name}[] = {{\n{text}}};\n"

    def words(self, words):
        rows = [quoted(word) for word in words] + ["NULL"]
        return self.table("words", "static const char *const", rows)

    def parts(self, rows):
        return self.table("parts", "static const struct check", rows + ["{0}"])

    def fault(self, where, text):
        self.doc.fault(where, text)

    def row(self, name, schema, where, flags=()):
        """The C row that checks a value; a fault where C couldn't check what the file says."""
        schema = self.doc.resolve(schema)
        kinds = [kind for kind in types_of(schema) if kind != "null"]
        if len(kinds) != 1 or kinds[0] not in KINDS:
            self.fault(where, f"{name}: type must be one of {', '.join(KINDS)}, not {kinds}")
            return "{0}"
        kind = kinds[0]
        for key in sorted(schema.keys() - KEYWORDS[kind] - SAID):
            if not key.startswith("x-"):
                self.fault(where, f"{name}: src/api/check.c doesn't check {key}: leave it out, "
                                  "or say with x-checked-by who does")
        flags = list(flags)
        if "null" in types_of(schema):
            flags.append("CHECK_NULLABLE")
        if schema.get("format") == "password":
            flags.append("CHECK_SECRET")
        parts = [f".name = {quoted(name)}", f".kind = {KINDS[kind]}"]
        parts += [f".flags = {' | '.join(flags)}"] if flags else []
        return "{" + ", ".join(parts + self.limits(kind, schema, where)) + "}"

    def limits(self, kind, schema, where):
        low, high = BOUNDS.get(kind, ("minimum", "maximum"))
        parts = []
        if kind in ("integer", "number"):
            parts.append(f".min = {bound(schema.get(low), 'INT64_MIN')}")
            parts.append(f".max = {bound(schema.get(high), 'INT64_MAX')}")
        elif kind in BOUNDS:
            parts += [f".min = {schema[low]}"] if low in schema else []
            parts.append(f".max = {bound(schema.get(high), 'INT64_MAX')}")
        if "enum" in schema:
            parts.append(f".words = {self.words(schema['enum'])}")
        if kind == "array":
            parts.append(f".parts = {self.parts([self.row('item', schema['items'], where)])}")
        if kind == "object":
            parts.append(f".parts = {self.members(schema, where)}")
        return parts

    def members(self, schema, where):
        required = schema.get("required", [])
        return self.parts([
            self.row(name, one, where, ["CHECK_REQUIRED"] if name in required else [])
            for name, one in schema.get("properties", {}).items()])

    def parameters(self, operation):
        """Name of the table of an operation's query parameters, or NULL."""
        rows = []
        for one in operation.parameters:
            if one["in"] != "query":
                continue
            flags = ["CHECK_REQUIRED"] if one.get("required") else []
            where = f"{operation.where} parameter"
            if "x-checked-by" in one:
                many = ", .flags = CHECK_MANY" if takes_many(one) else ""
                rows.append(f"{{.name = {quoted(one['name'])}, .kind = CHECK_ANY{many}}}")
            elif takes_many(one):
                rows.append(self.row(one["name"], one["schema"]["items"], where,
                                     flags + ["CHECK_MANY"]))
            elif {"array", "object"} & set(types_of(one["schema"])):
                self.fault(where, f"{one['name']}: lists in one value aren't checked by "
                                  "src/api/check.c: say with x-checked-by who does")
            else:
                rows.append(self.row(one["name"], one["schema"], where, flags))
        return self.parts(rows) if rows else None

    def body(self, operation):
        """Name of the table of a body's members; None for those that others check. Text is for the
        handler to read."""
        if "text/plain" in operation.body_schemas():
            return None
        for schema in operation.body_schemas().values():
            schema = self.doc.resolve(schema)
            if "x-body-of" in schema or "x-checked-by" in schema:
                return None
            if types_of(schema) != ["object"]:
                self.fault(operation.where, "the body must be an object")
                return None
            return self.members(schema, f"{operation.where} body")
        return None


def takes_many(parameter):
    """Whether the parameter is a list that is given item by item."""
    return types_of(parameter["schema"]) == ["array"] and parameter.get("explode", True)


def bound(number, default):
    return default if number is None else f"{number}LL" if abs(number) > 2 ** 31 - 1 else number


def route_row(operation, checks):
    parts = [f".method = HTTP_{operation.method.upper()}", f".path = {quoted(operation.path)}",
             f".access = ACCESS_{operation.access.upper()}", f".handle = {operation.id}"]
    parameters, body = checks.parameters(operation), checks.body(operation)
    if parameters:
        parts.append(f".parameters = {parameters}")
    if operation.list_of or operation.raw.get("x-strict"):
        parts.append(".is_list = true")
    if "x-body-max" in operation.raw:
        parts.append(f".body_max = {operation.raw['x-body-max']}")
    if operation.body and "text/plain" not in operation.body_schemas():
        forms = any("form" in kind for kind in operation.body_schemas())
        parts.append(f".body_kind = {'BODY_JSON_OR_FORM' if forms else 'BODY_JSON'}")
        parts += [".needs_body = true"] if operation.body.get("required") else []
        parts += [f".body = {body}"] if body else []
    return "    {" + ", ".join(parts) + "},\n"


def routes(doc):
    """The C file with the table `api_routes`."""
    checks = Checks(doc)
    rows = [route_row(operation, checks) for operation in doc.operations]
    return "".join([
        "/* Generated by tools/openapi from api/openapi.yaml. */\n",
        '#include "api/api_priv.h"\n\n',
        *checks.definitions(),
        "\nconst struct api_route api_routes[] = {\n", *rows, "    {0},\n};\n"])


def handlers(doc):
    """The header with the handlers' prototypes."""
    prototypes = [f"int {name}(struct request *rq, struct err *err);\n"
                  for name in sorted(operation.id for operation in doc.operations)]
    return "".join(["/* Generated by tools/openapi from api/openapi.yaml: what each does stands "
                    "there. */\n#pragma once\n\nstruct err;\nstruct request;\n\n", *prototypes])
