// SPDX-License-Identifier: Apache-2.0
/*
 * The part of a log that is in the page: lines with their places in bytes, in one stretch without a
 * gap. Bytes come in any pieces, at either end; what is too much goes at the other. Pure.
 *
 *     const part = new LogWindow();
 *     part.begin(offset, bytes, isLineStart);
 *     part.prepend(offset, bytes, isLineStart); part.append(offset, bytes);
 *     part.dropStart(most); part.dropEnd(most);
 *     part.lines, part.start, part.end
 *
 * A line of more than `pieceBytes` is shown in pieces, cut where the place in the log is a multiple
 * of that, so that a line of a gigabyte costs no more than others.
 */
export interface Line {
  /** Of its first byte in the log. */
  readonly offset: number;
  /** Behind its last byte, the line feed included. */
  readonly end: number;
  /** As it was written, without the line feed; what is no UTF-8 is replaced. */
  readonly raw: string;
  /** It goes on in the next one: a piece. */
  readonly isCut: boolean;
  /** When it came, in milliseconds; for lines without a time of their own. */
  readonly arrived: number;
}

export const pieceBytes = 8192;
const feed = 10;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Not in the middle of a character; UTF-8's further bytes are 10xxxxxx. */
function characterStart(bytes: Uint8Array, at: number): number {
  let place = at;
  while (place > at - 3 && place > 0 && ((bytes[place] ?? 0) & 0xc0) === 0x80) place--;
  return ((bytes[place] ?? 0) & 0xc0) === 0x80 ? at : place;
}

function addLine(
  lines: Line[],
  bytes: Uint8Array,
  base: number,
  from: number,
  end: number,
  arrived: number,
) {
  const isEnded = bytes[end - 1] === feed;
  let at = from;
  let next = (Math.floor((base + from) / pieceBytes) + 1) * pieceBytes - base;
  if (end - from > pieceBytes)
    for (; next < end; next += pieceBytes) {
      const cut = characterStart(bytes, next);
      if (cut <= at) continue;
      lines.push({
        offset: base + at,
        end: base + cut,
        raw: decoder.decode(bytes.subarray(at, cut)),
        isCut: true,
        arrived,
      });
      at = cut;
    }
  let last = isEnded ? end - 1 : end;
  if (isEnded && last > at && bytes[last - 1] === 13) last--; // CR LF
  lines.push({
    offset: base + at,
    end: base + end,
    raw: decoder.decode(bytes.subarray(at, last)),
    isCut: false,
    arrived,
  });
}

/** All lines of the bytes, which begin at `base` of the log; the last one may be unfinished. */
export function splitLines(bytes: Uint8Array, base: number, arrived: number): Line[] {
  const lines: Line[] = [];
  let from = 0;
  while (from < bytes.length) {
    const found = bytes.indexOf(feed, from);
    const end = found < 0 ? bytes.length : found + 1;
    addLine(lines, bytes, base, from, end, arrived);
    from = end;
  }
  return lines;
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

const nothing = new Uint8Array(0);

export class LogWindow {
  /** Replaced, never changed in place. */
  lines: readonly Line[] = [];
  #start = 0;
  #end = 0;
  /** Bytes before lines[0] whose line begins further up. */
  #head: Uint8Array = nothing;
  /** Bytes of the last line while it is unfinished. */
  #tail: Uint8Array = nothing;
  #tailArrived = 0;

  /** First byte that is here, and the one behind the last. */
  get start(): number {
    return this.#start;
  }
  get end(): number {
    return this.#end;
  }

  /** Forgets everything else. `isLineStart`: a line begins at `offset`. */
  begin(offset: number, bytes: Uint8Array, isLineStart: boolean, now: number): void {
    this.#start = offset;
    this.#end = offset + bytes.length;
    this.#head = nothing;
    const from = isLineStart ? 0 : this.#skipHead(bytes);
    this.#keepTail(bytes.subarray(from), now);
    this.lines = splitLines(bytes.subarray(from), offset + from, now);
  }

  /** The bytes before the first line that begins here; none where that is too far. */
  #skipHead(bytes: Uint8Array): number {
    const found = bytes.indexOf(feed);
    if (found < 0 || found + 1 >= bytes.length || found > 4 * pieceBytes) return 0;
    this.#head = bytes.slice(0, found + 1);
    return found + 1;
  }

  #keepTail(bytes: Uint8Array, now: number): void {
    const last = bytes.lastIndexOf(feed);
    this.#tail = bytes.slice(Math.max(last + 1, bytes.length - 8 * pieceBytes));
    this.#tailArrived = now;
  }

  /** True when it fits at the start: bytes that end where this begins. */
  prepend(offset: number, bytes: Uint8Array, isLineStart: boolean, now: number): boolean {
    if (bytes.length === 0 || offset + bytes.length !== this.#start) return false;
    const first = this.lines[0];
    const isOnlyTail = this.lines.length === 1 && this.#tail.length > 0;
    const all = join(bytes, this.#head);
    this.#head = nothing;
    const from = isLineStart ? 0 : this.#skipHead(all);
    const fresh = splitLines(all.subarray(from), offset + from, now);
    const last = fresh.at(-1);
    // The line that was shown from its middle on, where it had no beginning in sight.
    if (
      last &&
      first &&
      all.at(-1) !== feed &&
      last.raw.length + first.raw.length <= pieceBytes &&
      !isOnlyTail
    ) {
      fresh[fresh.length - 1] = {
        ...last,
        end: first.end,
        raw: last.raw + first.raw,
        isCut: first.isCut,
      };
      this.lines = [...fresh, ...this.lines.slice(1)];
    } else this.lines = [...fresh, ...this.lines];
    this.#start = offset;
    return true;
  }

  /** True when it fits at the end; what is here already is left out. */
  append(offset: number, bytes: Uint8Array, now: number): boolean {
    if (offset > this.#end || offset + bytes.length <= this.#end) return false;
    const more = bytes.subarray(this.#end - offset);
    const tail = this.#tail;
    const base = this.#end - tail.length;
    const all = join(tail, more);
    const arrived = tail.length > 0 ? this.#tailArrived : now;
    let keep = this.lines.length;
    while (keep > 0 && (this.lines[keep - 1]?.offset ?? 0) >= base) keep--;
    // A piece that reaches into the tail stays as it is.
    const known = keep > 0 ? (this.lines[keep - 1]?.end ?? base) : base;
    const from = tail.length > 0 ? Math.max(0, known - base) : 0;
    const fresh = splitLines(all.subarray(from), base + from, now);
    const head = fresh[0];
    if (head && arrived !== now) fresh[0] = { ...head, arrived };
    this.lines = [...this.lines.slice(0, keep), ...fresh];
    this.#end += more.length;
    const isSameTail = all.lastIndexOf(feed) < 0;
    this.#keepTail(all, isSameTail ? arrived : now);
    return true;
  }

  /** Drops lines at the start until at most so many bytes are left; the last one stays. */
  dropStart(most: number): void {
    if (this.#end - this.#start <= most) return;
    let count = 0;
    while (count < this.lines.length - 1 && this.#end - (this.lines[count]?.offset ?? 0) > most)
      count++;
    if (count === 0) return;
    this.lines = this.lines.slice(count);
    this.#head = nothing;
    this.#start = this.lines[0]?.offset ?? this.#end;
  }

  dropEnd(most: number): void {
    if (this.#end - this.#start <= most) return;
    let count = this.lines.length;
    while (count > 1 && (this.lines[count - 1]?.end ?? 0) - this.#start > most) count--;
    if (count === this.lines.length) return;
    this.lines = this.lines.slice(0, count);
    this.#end = this.lines.at(-1)?.end ?? this.#start;
    this.#tail = nothing;
  }
}

/**
 * The line at a place in the log, or the last one before it; -1: all come later. Lines are in
 * order.
 */
export function lineAt(lines: readonly Pick<Line, "offset">[], offset: number): number {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lines[middle]?.offset ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
