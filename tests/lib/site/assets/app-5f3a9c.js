/* SPDX-License-Identifier: Apache-2.0 */
document.getElementById("app").textContent = "It runs: " + location.pathname;
/* This repeats itself to be smaller by gzip: to be smaller by gzip, to be smaller by gzip. */
