// SPDX-License-Identifier: Apache-2.0
/* Pictures that are put into a message: read as data URLs, within limits. */

export const picture_types = ["image/png", "image/jpeg", "image/gif", "image/webp"];
export const picture_bytes = 4 << 20;
export const picture_count = 6;

export type Refusal = "type" | "size" | "count";

function read(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error("the file can't be read"));
    reader.readAsDataURL(file);
  });
}

/** Those that may come to `present` others, and why any may not. */
export async function readPictures(
  files: Iterable<File>,
  present: number,
): Promise<{ urls: string[]; refusal: Refusal | null }> {
  const urls: string[] = [];
  let refusal: Refusal | null = null;
  for (const file of files) {
    if (!picture_types.includes(file.type)) refusal = "type";
    else if (file.size > picture_bytes) refusal = "size";
    else if (present + urls.length >= picture_count) refusal = "count";
    else urls.push(await read(file));
  }
  return { urls, refusal };
}
