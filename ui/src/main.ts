// SPDX-License-Identifier: Apache-2.0
import { mount } from "svelte";
import App from "./app/App.svelte";
import { loadMessages } from "./lib/i18n.svelte.js";
import { startPreferences } from "./lib/preferences.svelte.js";
import { startRouter } from "./lib/router.svelte.js";
import { findSession } from "./lib/session.svelte.js";
import { shortcuts } from "./lib/shortcuts.svelte.js";
import "./styles/tokens.css";
import "./styles/base.css";

startPreferences();
startRouter();
shortcuts.start();
// The server's word on who we are is not awaited: until then the page shows that it is loading.
const session = findSession();
await loadMessages(["common"]);
const target = document.getElementById("app");
if (!target) throw new Error("index.html has no element with the id app");
mount(App, { target, props: { session } });
