// SPDX-License-Identifier: Apache-2.0
/*
 * Makes of a model's markdown blocks that a page may show. A chunk of its own: import it lazily.
 *
 * marked makes HTML, DOMPurify cleans it, always in that order; nothing else makes `html`. The text
 * is parted at its top-level blocks, so that of an answer that grows only the last one changes.
 * Code stays text: CodeBlock.svelte shows it. Pictures of other servers become links: no page of
 * ours fetches from elsewhere.
 */
import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens } from "marked";
import { mathAt, type MathSource } from "./math_source.js";

export type Block =
  | { kind: "html"; html: string }
  | { kind: "code"; code: string; language: string; isComplete: boolean };

export interface Parsed {
  blocks: Block[];
  /** There is math, which `math` would make readable. */
  hasMath: boolean;
}

/** Makes MathML of TeX; see math.ts. */
export type MathRenderer = (source: MathSource) => string;

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/**
 * HTML in an answer is shown as text, but for tags without attributes that do no more than dress.
 * So what a model writes about HTML can be read, and nothing of it makes the browser warn of the
 * page's policy while it is cleaned.
 */
export function simpleHtml(text: string): string {
  return escapeHtml(text).replace(
    /&#60;(\/?(?:br|b|i|u|s|em|strong|sub|sup|kbd|mark|small|p|details|summary)) ?\/?&#62;/gi,
    "<$1>",
  );
}

let math: MathRenderer | null = null;
let sawMath = false;

function showMath(token: Tokens.Generic): string {
  const source = token["source"] as MathSource;
  sawMath = true;
  if (math) return math(source);
  return `<code>${escapeHtml(source.tex)}</code>`;
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  extensions: [
    {
      name: "math",
      level: "inline",
      start: (text) => {
        const at = text.search(/\$|\\[([]/);
        return at < 0 ? undefined : at;
      },
      tokenizer: (text) => {
        const source = mathAt(text);
        return source ? { type: "math", raw: source.raw, source } : undefined;
      },
      renderer: showMath,
    },
    {
      name: "mathBlock",
      level: "block",
      start: (text) => {
        const at = text.search(/^[ \t]*(\$\$|\\\[)/m);
        return at < 0 ? undefined : at;
      },
      tokenizer: (text) => {
        const source = mathAt(text.trimStart());
        if (!source?.isBlock) return undefined;
        const raw = text.slice(0, text.length - text.trimStart().length) + source.raw;
        const rest = text.slice(raw.length).match(/^[ \t]*(?:\n|$)/);
        return rest ? { type: "mathBlock", raw: raw + rest[0], source } : undefined;
      },
      renderer: showMath,
    },
  ],
  renderer: {
    html: ({ text }) => simpleHtml(text),
    image({ href, text }) {
      if (/^data:image\/(png|jpeg|gif|webp);/.test(href))
        return `<img src="${escapeHtml(href)}" alt="${escapeHtml(text)}">`;
      return `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`;
    },
    checkbox: ({ checked }) => (checked ? "\u2611 " : "\u2610 "),
  },
});

/** Where links may lead and what pictures may be: nothing on this server, nothing that runs. */
const goodAddress = /^(?:https?:|mailto:|data:image\/(?:png|jpeg|gif|webp);|#)/i;
const purify = DOMPurify();
if (purify.isSupported)
  purify.addHook("afterSanitizeAttributes", (node) => {
    for (const name of ["href", "src", "xlink:href"])
      if (!goodAddress.test(node.getAttribute(name) ?? "#")) node.removeAttribute(name);
    if (node.tagName !== "A") return;
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  });

const allowed = {
  USE_PROFILES: { html: true, mathMl: true },
  FORBID_TAGS: [
    "style",
    "form",
    "input",
    "button",
    "textarea",
    "select",
    "dialog",
    "video",
    "audio",
    "source",
    "picture",
    "marquee",
  ],
  FORBID_ATTR: [
    "style",
    "id",
    "name",
    "srcset",
    "popover",
    "popovertarget",
    "contenteditable",
    "autofocus",
    "tabindex",
  ],
  ALLOW_DATA_ATTR: false,
};

/** The only maker of HTML that is put into the page. */
export function clean(html: string): string {
  return purify.sanitize(html, allowed);
}

function isFenceClosed(raw: string): boolean {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(raw)?.[1];
  if (!fence) return true; // Indented code.
  const last = raw.trimEnd().split("\n").at(-1)?.trim() ?? "";
  return raw.includes("\n") && last.startsWith(fence) && new Set(last).size === 1;
}

function blockOf(token: Token): Block | null {
  if (token.type === "space") return null;
  if (token.type === "code") {
    const code = token as Tokens.Code;
    const language = (code.lang ?? "").trim().split(/\s/)[0] ?? "";
    return { kind: "code", code: code.text, language, isComplete: isFenceClosed(code.raw) };
  }
  return { kind: "html", html: clean(marked.parser([token])) };
}

/** `renderMath` null: math is shown as its source. */
export function parse(text: string, renderMath: MathRenderer | null): Parsed {
  math = renderMath;
  sawMath = false;
  const tokens = marked.lexer(text);
  const blocks = tokens.map(blockOf).filter((block) => block !== null);
  return { blocks, hasMath: sawMath };
}
