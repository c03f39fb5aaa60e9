# SPDX-License-Identifier: Apache-2.0
"""Writes the reference page: one file, readable without JavaScript, nothing from elsewhere."""

import html
import json
import re

from openapi_doc import JSON, types_of

ACCESS_TEXT = {
    "public": "anybody", "self": "any user, also one who must change the password first",
    "user": "any user", "admin": "administrators", "worker": "a worker, with its token",
    "cluster": "who has the cluster token"}
TOKENS = {"worker": "$WORKER_TOKEN", "cluster": "$CLUSTER_TOKEN"}
PLURALS = {"string": "strings", "integer": "integers", "number": "numbers", "object": "objects"}


REASONS = {"400": "not readable", "401": "not signed in", "403": "not allowed",
           "404": "no such object", "409": "conflict", "413": "too large", "422": "not valid",
           "429": "too many wrong passwords", "503": "not now"}


def esc(text):
    return html.escape(str(text), quote=True)


# --- text ----------------------------------------------------------------------------------------


def inline(text):
    """A line of text with `code`, *emphasis* and [links](#to)."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    out = []
    for number, part in enumerate(parts):
        if number % 2:
            out.append(f"<code>{esc(part)}</code>")
            continue
        part = esc(part)
        part = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', part)
        out.append(re.sub(r"\*([^*]+)\*", r"<em>\1</em>", part))
    return "".join(out)


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def markdown_table(lines):
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return table(cells[0], [[inline(cell) for cell in row] for row in cells[2:]])


def markdown(text):
    """HTML of headings, paragraphs, tables and code blocks; and [(id, heading)]."""
    out, headings = [], []
    for block in re.split(r"\n\n+", text.strip()):
        if block.startswith("## "):
            headings.append((slug(block[3:]), block[3:]))
            out.append(f'<h2 id="{slug(block[3:])}">{inline(block[3:])}</h2>')
        elif block.startswith("```"):
            out.append(code_block("\n".join(block.split("\n")[1:-1])))
        elif block.startswith("|"):
            out.append(markdown_table(block.split("\n")))
        else:
            out.append(f"<p>{inline(block)}</p>")
    return "\n".join(out), headings


def code_block(text, name=""):
    mark = f' class="{name}"' if name else ""
    return f"<pre{mark}><code>{esc(text)}</code></pre>"


def table(head, rows):
    """A table of cells that are HTML."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")


# --- schemas -------------------------------------------------------------------------------------


class Page:
    """The page of one document (openapi_doc.Document, without faults)."""

    def __init__(self, doc, whole, guide, style):
        self.doc, self.whole, self.guide, self.style = doc, whole, guide, style
        self.schemas = whole["components"]["schemas"]

    def type_of(self, schema):
        """HTML of a type: what it is and, for objects of their own, a link."""
        name = schema.get("$ref", "").rpartition("/")[2]
        schema = self.doc.resolve(schema)
        if name and ("properties" in schema or "allOf" in schema):
            return f'<a href="#schema-{name}">{name}</a>'
        kinds = [kind for kind in types_of(schema) if kind != "null"]
        words = " or ".join(self.kind_text(kind, schema) for kind in kinds) or "null"
        return words + (" or null" if kinds and "null" in types_of(schema) else "")

    def kind_text(self, kind, schema):
        if "enum" in schema:
            return "one of " + ", ".join(f"<code>{esc(word)}</code>" for word in schema["enum"])
        if kind == "array":
            item = schema.get("items", {})
            kinds = types_of(self.doc.resolve(item))
            if kinds and kinds[0] in PLURALS and "$ref" not in item and "enum" not in item:
                return "list of " + PLURALS[kinds[0]]
            return "list: " + self.type_of(item)
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return "object of " + PLURALS[types_of(schema["additionalProperties"])[0]]
        return "time" if schema.get("format") == "date-time" else kind

    def limits(self, schema):
        """What a value must keep to, as a few words of HTML."""
        schema = self.doc.resolve(schema)
        kinds = types_of(schema)
        out = []
        if "integer" in kinds or "number" in kinds:
            low, high = schema.get("minimum"), schema.get("maximum")
            if high is not None:
                out.append(f"{low or 0}\u2013{high}")
            elif low is not None:
                out.append(f"at least {low}")
        if "minLength" in schema:
            out.append(f"at least {schema['minLength']} bytes")
        for key, unit in (("maxLength", "bytes"), ("maxItems", "items"),
                          ("maxProperties", "entries")):
            out += [f"at most {schema[key]} {unit}"] if key in schema else []
        if "pattern" in schema:
            out.append(f"<code>{esc(schema['pattern'])}</code>")
        return ", ".join(out)

    def meaning(self, schema):
        """Description, limits and default in one cell."""
        schema = self.doc.resolve(schema)
        limits = self.limits(schema)
        parts = [inline(schema["description"])] if schema.get("description") else []
        if "default" in schema:
            value = f"default <code>{esc(json.dumps(schema['default']))}</code>"
            limits = f"{limits}, {value}" if limits else value
        parts += [f'<span class="quiet">{limits}</span>'] if limits else []
        return "<br>".join(parts)

    def merged(self, schema):
        """An object with the fields of all its parts."""
        whole = {**schema, "properties": {}, "required": []}
        for part in [*(self.doc.resolve(one) for one in schema.get("allOf", [])), schema]:
            whole["properties"].update(part.get("properties", {}))
            whole["required"] += part.get("required", [])
            if "x-record" in part:
                whole["x-record"] = part["x-record"]
        return whole

    def fields(self, schema):
        """Table of an object's fields."""
        schema = self.merged(schema)
        required = schema.get("required", [])
        rows = []
        for name, one in schema["properties"].items():
            # In answers all fields are there: the mark is for bodies.
            mark = ' <span class="must">required</span>' if name in required \
                and "x-record" not in schema else ""
            rows.append([f"<code>{esc(name)}</code>{mark}", self.type_of(one), self.meaning(one)])
        return table(["field", "type", "meaning"], rows) if rows else ""

    # --- operations ------------------------------------------------------------------------------

    def parameters(self, operation):
        rows = []
        shared = [self.doc.resolve({"$ref": f"#/components/parameters/{name}"})["name"]
                  for name in self.doc.root.get("x-list-parameters", [])]
        for one in operation.parameters:
            if one.get("x-filter") or (operation.list_of and one["name"] in shared):
                continue
            mark = ' <span class="must">required</span>' if one.get("required") else ""
            schema = {**self.doc.resolve(one["schema"]), "description": one["description"]}
            rows.append([f"<code>{esc(one['name'])}</code>{mark}", one["in"],
                         self.type_of(one["schema"]), self.meaning(schema)])
        return ("<h4>Parameters</h4>" if operation.parameters else "") + (
            table(["name", "in", "type", "meaning"], rows) if rows else "") + (
            self.filters(operation, shared) if operation.list_of else "")

    def filters(self, operation, shared):
        """What all lists take, and the fields by which this one is filtered."""
        names = [one["name"] for one in operation.parameters if one.get("x-filter")]

        def words(some):
            return ", ".join(f"<code>{esc(name)}</code>" for name in some)

        return (f'<p>As all <a href="#lists">lists</a>: {words(shared)}.</p>'
                f"<p>Filters, fields of {self.type_of(self.ref_of(operation.list_of))}: "
                f"{words(names)}.</p>")

    def ref_of(self, name):
        return {"$ref": f"#/components/schemas/{name}"}

    def body(self, operation):
        schemas = operation.body_schemas()
        if not schemas:
            return ""
        kinds = " or ".join(f"<code>{esc(kind)}</code>" for kind in schemas)
        schema = self.doc.resolve(next(iter(schemas.values())))
        return f"<h4>Body</h4><p class=\"quiet\">{kinds}</p>" + self.fields(schema)

    def answers(self, operation):
        good, bad = [], []
        for code, answer in self.doc.answers_of(operation).items():
            answer = self.doc.resolve(answer)
            media = answer.get("content", {})
            if not code.startswith("2"):
                bad.append(f'<a href="#errors">{code}</a> {REASONS.get(code, "")}')
                continue
            shapes = "<br>".join(f"<code>{esc(kind)}</code> {self.shape(kind, one['schema'])}"
                                 for kind, one in media.items())
            good.append([f"<code>{code}</code>", inline(answer["description"]),
                         shapes or "no content"])
        return ("<h4>Answer</h4>" + table(["code", "meaning", "content"], good)
                + f'<h4>Errors</h4><p class="errors">{", ".join(bad)}</p>')

    def shape(self, kind, schema):
        return self.type_of(schema) if kind == JSON else ""

    def operation(self, operation):
        raw = operation.raw
        text = "".join(f"<p>{inline(part)}</p>"
                       for part in raw.get("description", "").split("\n\n") if part)
        return "\n".join([
            f'<article id="{operation.id}">',
            f'<h3><a href="#{operation.id}">{esc(raw["summary"])}</a></h3>',
            f'<p class="route"><span class="method {operation.method}">'
            f"{operation.method.upper()}</span> <code>{esc(operation.path)}</code>"
            f'<span class="access">{operation.access}</span> '
            f'<span class="quiet">{ACCESS_TEXT[operation.access]}</span></p>',
            text, code_block(self.curl(operation), "curl"), self.parameters(operation),
            self.body(operation), self.answers(operation), "</article>"])

    # --- examples --------------------------------------------------------------------------------

    def example_of(self, schema):
        """A value that fits the schema."""
        schema = self.doc.resolve(schema)
        if "example" in schema:
            return schema["example"]
        if "default" in schema:
            return schema["default"]
        if "enum" in schema:
            return schema["enum"][-1]
        kind = "object" if "allOf" in schema else types_of(schema)[0]
        if kind == "object":
            return self.example_object(schema)
        return {"string": "text", "integer": schema.get("minimum", 1), "boolean": True,
                "array": [], "number": 1}.get(kind)

    def example_object(self, schema):
        schema = self.merged(schema)
        return {name: self.example_of(one) for name, one in schema["properties"].items()
                if name in schema["required"] or "example" in self.doc.resolve(one)}

    def example_body(self, operation):
        media = next(iter(operation.body.get("content", {}).values()))
        if "example" in media:
            return media["example"]
        return self.example_of(media["schema"])

    def curl(self, operation):
        """The command, with $SERVER, $KEY and $ID as the guide explains them."""
        words = ["curl", "-N"] if operation.is_stream else ["curl"]
        if operation.method not in ("get", "post") or (
                operation.method == "post" and not operation.body):
            words += ["-X", operation.method.upper()]
        if operation.access != "public":
            token = TOKENS.get(operation.access, "$KEY")
            words += ["-H", f'"Authorization: Bearer {token}"']
        lines = [" ".join(words)]
        if operation.body:
            kind, body = next(iter(operation.body_schemas())), self.example_body(operation)
            text = json.dumps(body) if kind == JSON else body
            lines[0] += f' -H "Content-Type: {kind}"'
            lines.append("-d '" + text.replace("'", "'\\''") + "'")
        path = operation.path.replace("{id}", "$ID").replace("{text}", "$ID")
        lines.append(f'"$SERVER{path}{self.query(operation)}"')
        separator = " \\\n     " if len(" ".join(lines)) > 88 else " "
        return separator.join(lines)

    def query(self, operation):
        pairs = [(one["name"], one["example"]) for one in operation.parameters
                 if "example" in one and one["in"] == "query"]
        text = "&".join(f"{name}={','.join(value) if isinstance(value, list) else value}"
                        for name, value in pairs)
        return f"?{text}" if text else ""

    # --- the whole -------------------------------------------------------------------------------

    def by_tag(self):
        for tag in self.whole["tags"]:
            found = [one for one in self.doc.written if one.raw["tags"][0] == tag["name"]]
            if found:
                yield tag, found

    def contents(self, headings):
        out = ['<p class="group">Guide</p><ul>']
        out += [f'<li><a href="#{name}">{esc(text)}</a></li>' for name, text in headings]
        for tag, operations in self.by_tag():
            name = tag["name"]
            out.append(f'</ul><p class="group"><a href="#{slug(name)}">{esc(name)}</a></p><ul>')
            out += [f'<li><a href="#{one.id}"><span class="method {one.method}">'
                    f"{one.method.upper()}</span>{esc(one.raw['summary'])}</a></li>"
                    for one in operations]
        out.append('</ul><p class="group"><a href="#schemas">Schemas</a></p>')
        return "".join(out)

    def shown_schemas(self):
        """The objects that answers and bodies link to."""
        out = []
        for name, schema in sorted(self.schemas.items()):
            fields = self.fields(schema)
            if fields and "x-body-of" not in schema and not name.endswith("Update"):
                out.append(f'<article id="schema-{name}"><h3>{name}</h3>{fields}</article>')
        return "\n".join(out)

    def write(self):
        guide, headings = markdown(self.guide)
        info = self.whole["info"]
        groups = "\n".join(
            f'<section><h2 id="{slug(tag["name"])}">{esc(tag["name"])}</h2>'
            f"<p>{inline(tag['description'])}</p>"
            + "\n".join(self.operation(one) for one in operations) + "</section>"
            for tag, operations in self.by_tag())
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>gpustack API</title>
<style>
{self.style}</style>
</head>
<body>
<nav aria-label="Contents">
<p class="title"><a href="#top">gpustack API</a>
<span class="quiet">{esc(info["version"])}</span></p>
{self.contents(headings)}
</nav>
<main id="top">
<h1>gpustack API</h1>
<p class="lead">{inline(info["description"])} The same as a file for programs:
<a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>
<section class="guide">
{guide}
</section>
{groups}
<section>
<h2 id="schemas">Schemas</h2>
<p>Objects in answers. All of an answer's fields are there, those without a value as null.</p>
{self.shown_schemas()}
</section>
</main>
</body>
</html>
"""
