// SPDX-License-Identifier: Apache-2.0
/*
 * Draws the map of devices on a canvas: only cells that look different than before, at most for a
 * few milliseconds of each frame, and nothing while the page is hidden (frames then don't come).
 */
import { isLight } from "../../lib/heat.js";
import type { Layout } from "../../lib/map_layout.js";
import { barSteps, cellOf, type Cell, type Look, type Planned } from "../../lib/map_cell.js";
import type { Device } from "../../lib/devices.js";

/** Colours by the names of their tokens, as computed styles write them. */
export type Palette = Record<string, string>;

const tokens = [
  "surface",
  "sunken",
  "line",
  "line-strong",
  "ink",
  "ink-2",
  "accent",
  "danger",
  "danger-weak",
  ...Array.from({ length: 8 }, (_, i) => `heat-${i}`),
  ...Array.from({ length: 6 }, (_, i) => `series-${i + 1}`),
];

/** Tokens are pairs of light and dark, which only a property of an element resolves. */
export function readPalette(near: Element): Palette {
  const probe = document.createElement("span");
  probe.hidden = true;
  near.append(probe);
  const palette: Palette = {};
  for (const token of tokens) {
    probe.style.color = `var(--${token})`;
    palette[token] = getComputedStyle(probe).color;
  }
  probe.remove();
  return palette;
}

/** Whether cells have room for the bar of memory. */
export const hasBars = (layout: Layout) => layout.cellHeight >= 13;
const hasWords = (layout: Layout) => layout.cellHeight >= 26 && layout.cellWidth >= 40;
const labelFrom = 56; // A narrower one would be two letters and dots.
const budget_ms = 6;
const labelFont = '600 11px system-ui, "Noto Sans CJK SC", sans-serif';
const figureFont = '11px system-ui, "Noto Sans CJK SC", sans-serif';

export interface Scene extends Look {
  devices: readonly Device[];
  planned: ReadonlyMap<string, Planned> | undefined;
}

export class MapPainter {
  #context: CanvasRenderingContext2D;
  #layout: Layout | undefined;
  #palette: Palette = {};
  #hatch: CanvasPattern | null = null;
  #shown: (Device | undefined)[] = [];
  #cells: Cell[] = [];
  #dirty = new Set<number>();
  #scene: Scene | undefined;
  #look: Look | undefined;
  #frame = 0;
  #texts = new Map<string, string>();
  #figures = new Map<number, string>();
  #scale = 1;

  constructor(readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser has no canvas");
    this.#context = context;
  }

  /** Another size, or another theme: everything is drawn anew. */
  arrange(layout: Layout, palette: Palette, scale: number): void {
    this.#layout = layout;
    this.#palette = palette;
    this.#scale = scale;
    sizeCanvas(this.canvas, layout, scale);
    this.#hatch = this.#makeHatch();
    this.#texts.clear();
    this.#reset();
  }

  show(scene: Scene): void {
    const before = this.#scene;
    const isOther = (key: keyof Look) => before !== undefined && before[key] !== scene[key];
    if (isOther("mode") || isOther("write") || isOther("tones")) this.#reset();
    const { mode, tones } = scene;
    this.#look = { mode, tones, write: this.#write };
    const hasPlan = scene.planned !== before?.planned;
    this.#scene = scene;
    const { devices } = scene;
    for (let i = 0; i < devices.length; i++)
      if (devices[i] !== this.#shown[i] || hasPlan) this.#take(i, devices[i] as Device);
    this.#wake();
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#dirty.clear();
  }

  /** Words of whole figures, each made once; none where the cells have no room for them. */
  #write = (figure: number): string => {
    if (!this.#layout || !hasWords(this.#layout)) return "";
    const whole = Math.round(figure);
    let words = this.#figures.get(whole);
    if (words === undefined) this.#figures.set(whole, (words = this.#scene?.write(whole) ?? ""));
    return words;
  };

  #reset(): void {
    this.#figures.clear();
    this.#shown = [];
    this.#cells = [];
    this.#dirty.clear();
    this.#context.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    this.#context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.#scene) {
      const scene = this.#scene;
      this.#scene = undefined;
      this.show(scene);
    }
  }

  #take(i: number, device: Device): void {
    if (!this.#look) return;
    const cell = cellOf(device, this.#look, this.#scene?.planned?.get(device.id));
    this.#shown[i] = device;
    if (this.#cells[i]?.key === cell.key) return;
    this.#cells[i] = cell;
    this.#dirty.add(i);
  }

  #wake(): void {
    if (this.#dirty.size > 0 && !this.#frame)
      this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    this.#frame = 0;
    const end = performance.now() + budget_ms;
    let drawn = 0;
    for (const i of this.#dirty) {
      this.#dirty.delete(i);
      this.#drawCell(i);
      if ((++drawn & 63) === 0 && performance.now() > end) break;
    }
    this.#wake();
  }

  #colour(name: string): string {
    return this.#palette[name] ?? "#888";
  }

  #drawCell(i: number): void {
    const layout = this.#layout;
    const cell = this.#cells[i];
    if (!layout || !cell || 2 * i + 1 >= layout.at.length) return;
    const c = this.#context;
    const x = layout.at[2 * i] as number;
    const y = layout.at[2 * i + 1] as number;
    const { cellWidth: w, cellHeight: h } = layout;
    c.clearRect(x, y, w, h);
    this.#drawGround(cell, x, y, w, h);
    if (hasBars(layout)) this.#drawBar(cell, x, y, w, h);
    if (hasWords(layout)) this.#drawWords(cell, x, y, w, h);
    if (cell.mark === "cross") this.#drawCross(x, y, w, h);
  }

  #drawGround(cell: Cell, x: number, y: number, w: number, h: number): void {
    const c = this.#context;
    const radius = h >= 26 ? 4 : h >= 16 ? 2 : 0;
    const box = (inset: number) => {
      c.beginPath();
      c.roundRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset, radius);
    };
    if (cell.mark !== "none") {
      c.fillStyle = this.#colour(cell.mark === "cross" ? "danger-weak" : "sunken");
      box(0);
      c.fill();
      if (cell.mark === "hatch" && this.#hatch) {
        c.fillStyle = this.#hatch;
        c.fill();
      }
    } else if (cell.fills.length === 1 && radius === 0) {
      c.fillStyle = this.#colour(cell.fills[0] as string);
      c.fillRect(x, y, w, h);
      return;
    } else if (cell.fills.length > 0) {
      c.save();
      box(0);
      c.clip();
      cell.fills.forEach((fill, n) => {
        c.fillStyle = this.#colour(fill);
        c.fillRect(x + (n * w) / cell.fills.length, y, w / cell.fills.length + 1, h);
      });
      c.restore();
      return;
    } else if (cell.isUnknown) {
      c.fillStyle = this.#colour("sunken");
      box(0);
      c.fill();
    }
    c.lineWidth = 1;
    c.strokeStyle = this.#colour(
      cell.mark === "cross" ? "danger" : cell.isUnknown ? "ink-2" : "line-strong",
    );
    if (radius === 0) c.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
    else {
      box(0.5);
      c.stroke();
    }
  }

  /** Used memory solid, claimed behind it as a pale part with a mark at its end. */
  #drawBar(cell: Cell, x: number, y: number, w: number, h: number): void {
    if (cell.used === 0 && cell.claimed === 0 && cell.planned === 0) return;
    const c = this.#context;
    const pad = h >= 26 ? 5 : 2;
    const thick = h >= 44 ? 6 : h >= 26 ? 4 : 3;
    const left = x + pad;
    const top = y + h - pad - thick;
    const full = w - 2 * pad;
    const part = (steps: number) => (full * steps) / barSteps;
    c.fillStyle = this.#colour("surface");
    c.fillRect(left - 1, top - 1, full + 2, thick + 2);
    if (cell.planned > 0) {
      c.fillStyle = this.#colour("accent");
      c.fillRect(left, top, part(cell.planned), thick);
    }
    if (cell.claimed > 0) {
      c.fillStyle = this.#colour("line-strong");
      c.globalAlpha = 0.5;
      c.fillRect(left, top, part(cell.claimed), thick);
      c.globalAlpha = 1;
      c.fillRect(left + part(cell.claimed) - 1, top - 1, 1.5, thick + 2);
    }
    c.fillStyle = this.#colour("ink");
    c.fillRect(left, top, part(cell.used), thick);
  }

  #drawWords(cell: Cell, x: number, y: number, w: number, h: number): void {
    const fill = cell.mark === "none" ? cell.fills[0] : undefined;
    const c = this.#context;
    c.fillStyle = fill
      ? isLight(this.#colour(fill))
        ? "#0b121a"
        : "#ffffff"
      : this.#colour("ink-2");
    c.textBaseline = "top";
    const hasTwoLines = h >= 42;
    const hasLabel = cell.label !== "" && w >= labelFrom;
    if (hasLabel) {
      c.font = labelFont;
      const text = this.#cut(cell.label, w - 10);
      if (cell.mark === "hatch") this.#clearBehind(text, x, y);
      c.fillText(text, x + 5, y + 5);
    }
    if (cell.figure && (hasTwoLines || !hasLabel) && cell.mark === "none") {
      c.font = figureFont;
      c.fillText(cell.figure, x + 5, y + (hasLabel ? 20 : 5));
    }
  }

  /** Words on hatching need a ground of their own. */
  #clearBehind(text: string, x: number, y: number): void {
    const c = this.#context;
    const ink = c.fillStyle;
    c.fillStyle = this.#colour("sunken");
    c.fillRect(x + 3, y + 3, c.measureText(text).width + 4, 15);
    c.fillStyle = ink;
  }

  #drawCross(x: number, y: number, w: number, h: number): void {
    const c = this.#context;
    const size = Math.min(w, h, 22) - 4;
    const left = x + (w - size) / 2;
    const top = y + (h - size) / 2;
    c.strokeStyle = this.#colour("danger");
    c.lineWidth = size >= 12 ? 2.5 : 1.5;
    c.beginPath();
    c.moveTo(left, top);
    c.lineTo(left + size, top + size);
    c.moveTo(left + size, top);
    c.lineTo(left, top + size);
    c.stroke();
  }

  /** The text, or its begin with "…" that fits. */
  #cut(text: string, width: number): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const c = this.#context;
    let cut = text;
    while (cut.length > 1 && c.measureText(cut === text ? cut : `${cut}…`).width > width)
      cut = cut.slice(0, -1);
    const result = cut === text ? text : `${cut.trimEnd()}…`;
    this.#texts.set(text, result);
    return result;
  }

  #makeHatch(): CanvasPattern | null {
    const tile = document.createElement("canvas");
    const size = 6;
    tile.width = tile.height = size * this.#scale;
    const c = tile.getContext("2d");
    if (!c) return null;
    c.scale(this.#scale, this.#scale);
    c.strokeStyle = this.#colour("line-strong");
    c.lineWidth = 1.2;
    c.beginPath();
    for (const shift of [-size, 0, size]) {
      c.moveTo(shift, size);
      c.lineTo(shift + size, 0);
    }
    c.stroke();
    const pattern = this.#context.createPattern(tile, "repeat");
    pattern?.setTransform(new DOMMatrix().scale(1 / this.#scale));
    return pattern;
  }
}

/** Pixels of the screen; its size on the page is the layout's. */
export function sizeCanvas(canvas: HTMLCanvasElement, layout: Layout, scale: number): void {
  canvas.width = Math.max(1, Math.round(layout.width * scale));
  canvas.height = Math.max(1, Math.round(layout.height * scale));
  canvas.style.width = `${layout.width}px`;
  canvas.style.height = `${layout.height}px`;
}

/** Rings around cells, on a canvas above: all of them, each time. */
export function drawRings(
  canvas: HTMLCanvasElement,
  layout: Layout,
  palette: Palette,
  rings: { strong: readonly number[]; weak: readonly number[]; dashed: readonly number[] },
): void {
  const c = canvas.getContext("2d");
  if (!c) return;
  const scale = canvas.width / Math.max(1, layout.width);
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, layout.width, layout.height);
  const out = layout.gap >= 4 ? 1 : 0;
  const ring = (i: number, inset: number) => {
    const x = layout.at[2 * i];
    const y = layout.at[2 * i + 1];
    if (x === undefined || y === undefined) return;
    c.strokeRect(
      x + inset - out,
      y + inset - out,
      layout.cellWidth + 2 * (out - inset),
      layout.cellHeight + 2 * (out - inset),
    );
  };
  const stroke = (cells: readonly number[], colour: string, width: number, dash: number[] = []) => {
    c.setLineDash(dash);
    for (const i of cells) {
      c.strokeStyle = palette["surface"] ?? "#fff";
      c.lineWidth = width + 2;
      c.setLineDash([]);
      ring(i, width / 2);
      c.strokeStyle = palette[colour] ?? "#888";
      c.lineWidth = width;
      c.setLineDash(dash);
      ring(i, width / 2);
    }
    c.setLineDash([]);
  };
  stroke(rings.dashed, "accent", 2, [4, 3]);
  stroke(rings.weak, "accent", 2);
  stroke(rings.strong, "ink", 2);
}
