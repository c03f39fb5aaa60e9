// SPDX-License-Identifier: Apache-2.0
/*
 * What a person prefers in this browser: theme, language, density, side navigation. Kept in
 * localStorage, in step between tabs, and put on <html> where the styles look for it.
 */

export type Theme = "auto" | "light" | "dark";
export type Density = "compact" | "normal" | "comfortable";
export type Locale = "en" | "zh";

export interface Preferences {
  theme: Theme;
  locale: Locale;
  density: Density;
  isNavigationNarrow: boolean;
}

const key = "gpustack.preferences";

function fallback(): Preferences {
  const isChinese = typeof navigator !== "undefined" && /^zh\b/i.test(navigator.language);
  return {
    theme: "auto",
    locale: isChinese ? "zh" : "en",
    density: "normal",
    isNavigationNarrow: false,
  };
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[], otherwise: T): T {
  return allowed.includes(value as T) ? (value as T) : otherwise;
}

/** What is stored may be of another version, or made by hand. */
export function readPreferences(text: string | null): Preferences {
  const base = fallback();
  let stored: Record<string, unknown> = {};
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    if (typeof value === "object" && value !== null) stored = value as Record<string, unknown>;
  } catch {
    // As if nothing were stored.
  }
  return {
    theme: oneOf(stored["theme"], ["auto", "light", "dark"], base.theme),
    locale: oneOf(stored["locale"], ["en", "zh"], base.locale),
    density: oneOf(stored["density"], ["compact", "normal", "comfortable"], base.density),
    isNavigationNarrow: stored["isNavigationNarrow"] === true,
  };
}

function load(): Preferences {
  try {
    return readPreferences(localStorage.getItem(key));
  } catch {
    return fallback(); // No storage: private windows of some browsers.
  }
}

let current = $state.raw<Preferences>(load());

export const preferences = {
  get theme(): Theme {
    return current.theme;
  },
  get locale(): Locale {
    return current.locale;
  },
  get density(): Density {
    return current.density;
  },
  get isNavigationNarrow(): boolean {
    return current.isNavigationNarrow;
  },
};

function show(): void {
  const root = document.documentElement;
  root.dataset["theme"] = current.theme;
  root.dataset["density"] = current.density;
  root.lang = current.locale === "zh" ? "zh-CN" : "en";
}

export function prefer(changes: Partial<Preferences>): void {
  current = { ...current, ...changes };
  show();
  try {
    localStorage.setItem(key, JSON.stringify(current));
  } catch {
    // It then holds for this tab only.
  }
}

/** Once, at the start. */
export function startPreferences(): void {
  show();
  addEventListener("storage", (event) => {
    if (event.key !== key) return;
    current = readPreferences(event.newValue);
    show();
  });
}

/** Whether the page is dark now; for what draws by itself (canvas, charts). */
export function isDark(): boolean {
  if (current.theme !== "auto") return current.theme === "dark";
  return systemIsDark.value;
}

const systemIsDark = $state({ value: false });
if (typeof matchMedia !== "undefined") {
  const media = matchMedia("(prefers-color-scheme: dark)");
  systemIsDark.value = media.matches;
  media.addEventListener("change", (event) => (systemIsDark.value = event.matches));
}
