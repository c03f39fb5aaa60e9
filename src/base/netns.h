/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity of this process's network namespace: two processes with the same one reach each other
 * over 127.0.0.1. The boot id is part of it because inode numbers of namespaces repeat across
 * machines and boots. Thread-safe; reads two small files of /proc.
 */
#pragma once

/*
 * "<boot_id>:net:[4026531840]", or "" when /proc doesn't tell: an empty id equals no other, so the
 * caller then takes the way over the network. Returns owned.
 */
char *netns_id(void) __attribute__((returns_nonnull));
