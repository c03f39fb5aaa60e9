// SPDX-License-Identifier: Apache-2.0
/*
 * Where the page is: path and query of the URL, as runes. Links are plain <a href="/models">: a
 * click on one goes through here, without a load.
 *
 *     route.path                          "/instances/7"
 *     route.query.get("sort")             "name"
 *     navigate("/models?search=qwen")
 *     setQuery({ sort: "-name", page: null })     null takes a parameter away; no new history entry
 */

interface Route {
  path: string;
  query: URLSearchParams;
  hash: string;
}

function present(): Route {
  return {
    path: location.pathname,
    query: new URLSearchParams(location.search),
    hash: location.hash.slice(1),
  };
}

let now = $state.raw<Route>(
  typeof location === "undefined"
    ? { path: "/", query: new URLSearchParams(), hash: "" }
    : present(),
);

export const route = {
  get path(): string {
    return now.path;
  },
  get query(): URLSearchParams {
    return now.query;
  },
  /** Without the "#". */
  get hash(): string {
    return now.hash;
  },
};

/** Goes to a path of this server, with a new entry in the history unless `replace`. */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  const target = new URL(to, location.href);
  const pathChanges = target.pathname !== location.pathname;
  if (options.replace) history.replaceState(null, "", target);
  else if (target.href !== location.href) history.pushState(null, "", target);
  now = present();
  if (pathChanges && !options.replace) scrollTo(0, 0);
}

/** Changes parameters of the present URL; null, "" and undefined take one away. */
export function setQuery(
  changes: Record<string, string | number | null | undefined>,
  options: { push?: boolean } = {},
): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value == null || value === "") query.delete(name);
    else query.set(name, String(value));
  }
  const text = query.toString();
  navigate(location.pathname + (text ? `?${text}` : "") + location.hash, {
    replace: !options.push,
  });
}

function isPlainClick(event: MouseEvent): boolean {
  return (
    event.button === 0 &&
    !event.defaultPrevented &&
    !event.metaKey &&
    !event.ctrlKey &&
    !event.shiftKey &&
    !event.altKey
  );
}

/** Served by the server itself and no page of this application. */
const foreign = /^\/(v1|v2|auth|docs|openapi\.json|metrics|version|healthz|readyz)(\/|$)/;

function onClick(event: MouseEvent): void {
  const link = (event.target as Element | null)?.closest("a");
  if (!link || !isPlainClick(event) || link.target || link.hasAttribute("download")) return;
  const target = new URL(link.href, location.href);
  if (target.origin !== location.origin || foreign.test(target.pathname)) return;
  event.preventDefault();
  navigate(target.href);
}

/** Once, at the start. */
export function startRouter(): void {
  addEventListener("popstate", () => (now = present()));
  addEventListener("hashchange", () => (now = present()));
  document.addEventListener("click", onClick);
}

/** Parameters of a pattern such as "/instances/:id", or null if the path is none of it. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const given = path.replace(/\/+$/, "").split("/");
  if (path === "/") return pattern === "/" ? {} : null;
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (let i = 0; i < wanted.length; i++) {
    const part = wanted[i] ?? "";
    const value = given[i] ?? "";
    if (part.startsWith(":")) {
      try {
        params[part.slice(1)] = decodeURIComponent(value);
      } catch {
        return null; // No valid percent-encoding.
      }
    } else if (part !== value) return null;
  }
  return params;
}
