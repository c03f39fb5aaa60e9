// SPDX-License-Identifier: Apache-2.0
/** Where what floats beside `node` is put: a modal dialog makes all outside of it inert. */
export function portalOf(node: Element | null): Element {
  return node?.closest("dialog") ?? document.querySelector("main") ?? document.body;
}
