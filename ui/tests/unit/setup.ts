// SPDX-License-Identifier: Apache-2.0
/* What browsers have and Node 18, Debian 12's, lacks. */
import { webcrypto } from "node:crypto";

if (!("crypto" in globalThis)) Object.defineProperty(globalThis, "crypto", { value: webcrypto });
