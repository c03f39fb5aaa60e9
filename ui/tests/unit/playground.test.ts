// SPDX-License-Identifier: Apache-2.0
/* Conversations, code of requests, markdown, math. Cleaning needs a browser: tests/ui. */
import { describe, expect, test, vi } from "vitest";
import { noParameters, requestOf } from "../../src/lib/chat.js";
import {
  find,
  fromFile,
  newConversation,
  sizeOf,
  tooMany,
  toFile,
  type Conversation,
} from "../../src/lib/conversations.js";
import { mathAt } from "../../src/lib/math_source.js";
import { renderMath } from "../../src/lib/math.js";
import { highlight } from "../../src/lib/highlight.js";
import { anthropicBody, languagesOf, shorten, snippet } from "../../src/lib/snippets.js";

// Node has no document to clean in; what marked makes is looked at as it is.
vi.mock("dompurify", () => ({
  default: () => ({ isSupported: false, sanitize: (html: string) => html }),
}));
const { parse, simpleHtml } = await import("../../src/lib/markdown.js");

function talk(title: string, updated: number, text = "Hi"): Conversation {
  const made = newConversation("m");
  return { ...made, title, updated, messages: [{ id: "1", role: "user", text }] };
}

describe("conversations", () => {
  const list = [talk("old", 1), talk("new", 3), talk("middle", 2)];
  test("the oldest are forgotten first, never the newest", () => {
    expect(tooMany(list, { count: 2, characters: 1e9 }).map((one) => one.title)).toEqual(["old"]);
    expect(tooMany(list, { count: 9, characters: 1 }).map((one) => one.title)).toEqual([
      "old",
      "middle",
    ]);
    expect(tooMany(list)).toEqual([]);
  });
  test("pictures count", () => {
    const plain = talk("x", 1);
    const first = plain.messages[0];
    if (!first) throw new Error();
    const pictured = { ...plain, messages: [{ ...first, images: ["x".repeat(1000)] }] };
    expect(sizeOf(pictured) - sizeOf(plain)).toBe(1000);
  });
  test("all words must be there", () => {
    const some = [talk("Cats", 1, "They purr"), talk("Dogs", 2, "They bark")];
    expect(find(some, "they CATS")).toHaveLength(1);
    expect(find(some, "they")).toHaveLength(2);
    expect(find(some, "  ")).toHaveLength(2);
  });
  test("to a file and back", () => {
    const [back] = fromFile(toFile([talk("Cats", 5)])) ?? [];
    expect(back).toMatchObject({ title: "Cats", updated: 5, model: "m" });
    expect(back?.messages[0]).toMatchObject({ role: "user", text: "Hi" });
  });
  test("what is none of ours, or made by hand", () => {
    expect(fromFile("{")).toBeNull();
    expect(fromFile("{}")).toBeNull();
    const [odd] =
      fromFile(
        JSON.stringify({
          kind: "gpustack-conversations",
          conversations: [
            7,
            { messages: "no" },
            {
              title: 9,
              parameters: { temperature: "hot", stop: [1, "x"], reasoning_effort: "extreme" },
              messages: [
                { role: "system" },
                {
                  role: "user",
                  text: "Hi",
                  images: ["https://x/y.png", "data:image/png;base64,AA"],
                },
              ],
            },
          ],
        }),
      ) ?? [];
    expect(odd?.parameters).toEqual({ ...noParameters, stop: ["x"] });
    expect(odd?.messages).toMatchObject([{ text: "Hi", images: ["data:image/png;base64,AA"] }]);
  });
});

describe("code of a request", () => {
  const body = requestOf(
    "qwen",
    { ...noParameters, system: "Be kind.", max_tokens: 99, stop: ["END"], seed: 1 },
    [
      {
        id: "1",
        role: "user",
        text: `It's "so"\n$x`,
        images: [`data:image/png;base64,${"A".repeat(200)}`],
      },
    ],
  );
  const wanted = { operation: "chat" as const, body, origin: "http://h:80", key: null };

  test("curl: a body that a shell passes on unchanged", () => {
    const code = snippet("curl", {
      ...wanted,
      body: requestOf("m", noParameters, [{ id: "", role: "user", text: "It's" }]),
    });
    expect(code).toContain("http://h:80/v1/chat/completions");
    expect(code).toContain(`"Authorization: Bearer $GPUSTACK_API_KEY"`);
    const quoted = code.slice(code.indexOf("-d '") + 4, code.lastIndexOf("'"));
    expect(JSON.parse(quoted.replaceAll(`'\\''`, "'"))).toMatchObject({
      messages: [{ content: "It's" }],
    });
  });
  test("python has python's words", () => {
    const code = snippet("python", {
      ...wanted,
      operation: "rerank",
      body: { a: true, b: null, c: false, d: [], e: {} },
    });
    expect(code).toContain(`"a": True,`);
    expect(code).toContain(`"b": None,`);
    expect(code).toContain(`os.environ["GPUSTACK_API_KEY"]`);
    expect(snippet("python", wanted)).toContain("    max_tokens=99,\n");
  });
  test("a real key stands in the code", () => {
    for (const language of languagesOf("chat"))
      expect(snippet(language, { ...wanted, key: "gpustack_1_2" })).toContain("gpustack_1_2");
  });
  test("Anthropic's shape", () => {
    const made = anthropicBody(body);
    expect(made).toMatchObject({
      model: "qwen",
      max_tokens: 99,
      system: "Be kind.",
      stop_sequences: ["END"],
    });
    expect(made).not.toHaveProperty("seed");
    expect(made).not.toHaveProperty("stream");
    expect(made["messages"]).toMatchObject([
      {
        role: "user",
        content: [
          { type: "text" },
          { type: "image", source: { type: "base64", media_type: "image/png" } },
        ],
      },
    ]);
    expect(languagesOf("rerank")).not.toContain("anthropic");
  });
  test("pictures are shortened", () => {
    expect(JSON.stringify(shorten(body))).not.toContain("AAAA");
    for (const language of languagesOf("chat"))
      expect(snippet(language, wanted)).not.toContain("AAAA");
  });
});

describe("math", () => {
  test.each([
    ["$x^2$ is", "x^2", false],
    ["$$\\frac{1}{2}$$", "\\frac{1}{2}", true],
    ["\\(a\\) b", "a", false],
    ["\\[\na\n\\]", "a", true],
  ])("%j", (text, tex, isBlock) => expect(mathAt(text)).toMatchObject({ tex, isBlock }));
  test.each(["$5 and $10", "$ x $", "$x", "no $x$", "$a$5"])("%j is none", (text) =>
    expect(mathAt(text)).toBeNull(),
  );
  test("has no style attributes, also where it is wrong", () => {
    for (const tex of ["\\begin{pmatrix}a&b\\end{pmatrix}", "\\color{red}{x}", "\\frac{"])
      expect(renderMath({ raw: "", tex, isBlock: true })).not.toContain("style=");
  });
});

describe("markdown", () => {
  test("code stays text, and is complete when its fence is closed", () => {
    expect(parse("```js\nlet a = 1 < 2;\n", null).blocks).toEqual([
      { kind: "code", code: "let a = 1 < 2;", language: "js", isComplete: false },
    ]);
    expect(parse("```js\nx\n```", null).blocks[0]).toMatchObject({ isComplete: true });
    expect(parse("````\n```\n", null).blocks[0]).toMatchObject({ isComplete: false });
  });
  test("an answer that grows changes its last block only", () => {
    const whole = "# A\n\nFirst.\n\n- one\n- two\n\nLast";
    const before = parse(whole, null).blocks;
    const after = parse(`${whole} words`, null).blocks;
    expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
  });
  test("math is math, but not in code and not money", () => {
    const math = (source: { tex: string }) => `<math>${source.tex}</math>`;
    const html = (text: string) =>
      parse(text, math)
        .blocks.map((block) => (block.kind === "html" ? block.html : ""))
        .join("");
    expect(html("It is $x$ and\n\n$$\ny\n$$\n\nend")).toMatch(
      /<math>x<\/math>[\s\S]*<math>y<\/math>/,
    );
    expect(html("`$x$` costs $5 or $10")).not.toContain("<math>");
    expect(parse("$x<y$", null)).toMatchObject({
      hasMath: true,
      blocks: [{ html: "<p><code>x&#60;y</code></p>\n" }],
    });
  });
  test("HTML is text, but for what only dresses", () => {
    expect(simpleHtml("<br/><b>x</b>")).toBe("<br><b>x</b>");
    expect(simpleHtml(`<b onclick="x()">`)).not.toContain("<");
    expect(simpleHtml("<script>alert(1)</script>")).not.toContain("<");
  });
  test("pictures of other servers are links", () => {
    const [block] = parse("![cat](https://x.org/cat.png)", null).blocks;
    expect(block).toMatchObject({ html: '<p><a href="https://x.org/cat.png">cat</a></p>\n' });
  });
});

test("colours escape what they colour", () => {
  expect(highlight("<script>", "xml")).not.toContain("<script>");
  expect(highlight("x", "cobol")).toBeNull();
  expect(highlight("x".repeat(60_000), "js")).toBeNull();
});
