// SPDX-License-Identifier: Apache-2.0
/*
 * What one types on a machine to make it a worker: a look at its devices by the vendor's own tool
 * first, then one command. Pure.
 */
export interface Vendor {
  id: string;
  name: string;
  /** Shows the devices if driver and tools are there. */
  check: string;
}

export const vendors: readonly Vendor[] = [
  { id: "nvidia", name: "NVIDIA", check: "nvidia-smi -L" },
  { id: "ascend", name: "Huawei Ascend", check: "npu-smi info -l" },
  { id: "amd", name: "AMD", check: "rocm-smi --showproductname" },
  { id: "hygon", name: "Hygon", check: "hy-smi" },
  { id: "moorethreads", name: "Moore Threads", check: "mthreads-gmi -L" },
  { id: "iluvatar", name: "Iluvatar", check: "ixsmi -L" },
  { id: "cambricon", name: "Cambricon", check: "cnmon info -t" },
  { id: "metax", name: "MetaX", check: "mx-smi -L" },
  { id: "apple", name: "Apple", check: "system_profiler SPDisplaysDataType" },
  { id: "cpu", name: "CPU", check: "nproc" },
];

export interface JoinOptions {
  name: string;
  ip: string;
  dataDir: string;
}

/** In single quotes where the shell would take it for anything but a word. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The token is given by the environment: arguments can be read by every user of the machine. */
export function joinCommand(url: string, token: string, options: JoinOptions): string {
  const words = ["gpustack", "start", "--server-url", url];
  if (options.name.trim()) words.push("--worker-name", options.name.trim());
  if (options.ip.trim()) words.push("--worker-ip", options.ip.trim());
  if (options.dataDir.trim()) words.push("--data-dir", options.dataDir.trim());
  return `GPUSTACK_TOKEN=${quoted(token)} ${words.map(quoted).join(" ")}`;
}
