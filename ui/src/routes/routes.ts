// SPDX-License-Identifier: Apache-2.0
/*
 * All pages: pattern → chunk, the areas of messages it needs, who may see it, its place in the side
 * navigation. The only table of routes.
 */
import type { Component } from "svelte";
import type { Area, MessageKey } from "../lib/i18n.svelte.js";
import type { IconName } from "../components/ui/icons.js";

export interface Page {
  pattern: string;
  /** Pages take the parameters of their pattern as props, as text. */
  load: () => Promise<{ default: Component<Record<string, string>> }>;
  areas: Area[];
  title: MessageKey;
  /** Only for administrators. */
  isAdmin: boolean;
  /** In the side navigation, in this group. */
  group?: "home" | "use" | "serve" | "cluster" | "access";
  icon?: IconName;
  /** Second key after "g". */
  key?: string;
}

type Loaded = { default: Component<Record<string, string>> };
const page = (load: () => Promise<unknown>) => load as () => Promise<Loaded>;

export const pages: Page[] = [
  {
    pattern: "/overview",
    load: page(() => import("./overview/Overview.svelte")),
    areas: ["overview", "devices", "reasons"],
    title: "common.page.overview",
    isAdmin: true,
    group: "home",
    icon: "overview",
    key: "o",
  },
  {
    pattern: "/playground",
    load: page(() => import("./playground/Playground.svelte")),
    areas: ["playground"],
    title: "common.page.playground",
    isAdmin: false,
    group: "use",
    icon: "chat",
    key: "p",
  },
  {
    pattern: "/usage",
    load: page(() => import("./usage/Usage.svelte")),
    areas: ["usage"],
    title: "common.page.usage",
    isAdmin: false,
    group: "use",
    icon: "usage",
    key: "u",
  },
  {
    pattern: "/keys",
    load: page(() => import("./keys/Keys.svelte")),
    areas: ["keys"],
    title: "common.page.keys",
    isAdmin: false,
    group: "use",
    icon: "key",
    key: "k",
  },
  {
    pattern: "/models",
    load: page(() => import("./models/Models.svelte")),
    areas: ["models", "reasons"],
    title: "common.page.models",
    isAdmin: true,
    group: "serve",
    icon: "model",
    key: "m",
  },
  {
    pattern: "/deploy",
    load: page(() => import("./deploy/Deploy.svelte")),
    areas: ["deploy", "models", "catalog", "devices", "reasons"],
    title: "common.page.deploy",
    isAdmin: true,
    group: "serve",
    icon: "deploy",
    key: "n",
  },
  {
    pattern: "/catalog",
    load: page(() => import("./catalog/Catalog.svelte")),
    areas: ["catalog", "deploy", "reasons"],
    title: "common.page.catalog",
    isAdmin: true,
    group: "serve",
    icon: "catalog",
    key: "c",
  },
  {
    pattern: "/model-files",
    load: page(() => import("./files/Files.svelte")),
    areas: ["files", "reasons"],
    title: "common.page.files",
    isAdmin: true,
    group: "serve",
    icon: "file",
    key: "f",
  },
  {
    pattern: "/routes",
    load: page(() => import("./routes/Routes.svelte")),
    areas: ["routes"],
    title: "common.page.routes",
    isAdmin: true,
    group: "serve",
    icon: "route",
    key: "r",
  },
  {
    pattern: "/workers",
    load: page(() => import("./workers/Workers.svelte")),
    areas: ["workers", "reasons"],
    title: "common.page.workers",
    isAdmin: true,
    group: "cluster",
    icon: "worker",
    key: "w",
  },
  {
    pattern: "/devices",
    load: page(() => import("./devices/Devices.svelte")),
    areas: ["devices", "reasons"],
    title: "common.page.devices",
    isAdmin: true,
    group: "cluster",
    icon: "device",
    key: "d",
  },
  {
    pattern: "/users",
    load: page(() => import("./users/Users.svelte")),
    areas: ["users"],
    title: "common.page.users",
    isAdmin: true,
    group: "access",
    icon: "user",
    key: "s",
  },
  {
    pattern: "/preferences",
    load: page(() => import("./account/Preferences.svelte")),
    areas: ["account"],
    title: "common.page.preferences",
    isAdmin: false,
    key: ",",
  },
  {
    pattern: "/models/:id",
    load: page(() => import("./models/ModelPage.svelte")),
    areas: ["models", "deploy", "devices", "reasons"],
    title: "common.page.model",
    isAdmin: true,
  },
  {
    pattern: "/instances/:id",
    load: page(() => import("./instance/InstancePage.svelte")),
    areas: ["instance", "logs", "reasons"],
    title: "common.page.instance",
    isAdmin: true,
  },
  {
    pattern: "/logs",
    load: page(() => import("./logs/Logs.svelte")),
    areas: ["logs", "reasons"],
    title: "common.page.logs",
    isAdmin: true,
    group: "serve",
    icon: "logs",
    key: "l",
  },
  {
    pattern: "/workers/:id",
    load: page(() => import("./workers/WorkerPage.svelte")),
    areas: ["workers", "devices", "reasons"],
    title: "common.page.worker",
    isAdmin: true,
  },
  {
    pattern: "/devices/:id",
    load: page(() => import("./devices/DevicePage.svelte")),
    areas: ["devices", "reasons"],
    title: "common.page.device",
    isAdmin: true,
  },
];
