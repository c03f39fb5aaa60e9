// SPDX-License-Identifier: Apache-2.0
/*
 * A model as YAML, there and back. Writing is done here, since it happens with every key; reading
 * takes a parser, which is loaded when something is pasted.
 */
type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

const plain = /^[A-Za-z_/.][\w./:@+-]*(?: [\w./:@+-]+)*$/;
const taken = /^(?:y|n|yes|no|on|off|true|false|null|~|\.inf|\.nan)$/i;

function scalar(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  const isPlain = plain.test(value) && !taken.test(value) && !/:(?: |$)/.test(value);
  return isPlain ? value : JSON.stringify(value);
}

function isEmpty(value: Value): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function lines(value: Value, indent: string): string[] {
  if (typeof value !== "object" || value === null) return [indent + scalar(value)];
  if (Array.isArray(value))
    return value.flatMap((one) => {
      const [first = "", ...rest] = lines(one, `${indent}  `);
      return [`${indent}- ${first.trimStart()}`, ...rest];
    });
  return Object.entries(value).flatMap(([key, one]) => {
    const name = `${indent}${scalar(key)}:`;
    if (typeof one !== "object" || one === null) return [`${name} ${scalar(one)}`];
    if (isEmpty(one)) return [`${name} ${Array.isArray(one) ? "[]" : "{}"}`];
    return [name, ...lines(one, `${indent}  `)];
  });
}

export function toYaml(value: object): string {
  return `${lines(value as Value, "").join("\n")}\n`;
}

/** Throws with the place of what can't be read. JSON is YAML, too. */
export async function fromYaml(text: string): Promise<Record<string, unknown>> {
  const { parse } = await import("yaml");
  const value: unknown = parse(text, { maxAliasCount: 0 });
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error('expected an object such as "name: qwen3-8b"');
  return value as Record<string, unknown>;
}
