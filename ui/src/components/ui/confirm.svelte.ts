// SPDX-License-Identifier: Apache-2.0
/*
 * Asks once before something that can't be undone, and says what will happen.
 *
 *     if (await confirm({ title, text, action: t("common.delete"), danger: true })) …
 */
export interface Question {
  title: string;
  /** What will happen. */
  text: string;
  /** Words of the button that does it: a verb. */
  action: string;
  danger?: boolean;
}

interface Asked extends Question {
  answer: (yes: boolean) => void;
}

let asked = $state.raw<Asked | null>(null);

/** What stands on the page; <ConfirmDialog> of the shell shows it. */
export const question = {
  get asked(): Asked | null {
    return asked;
  },
};

export function confirm(what: Question): Promise<boolean> {
  asked?.answer(false);
  return new Promise((resolve) => {
    asked = {
      ...what,
      answer: (yes) => {
        asked = null;
        resolve(yes);
      },
    };
  });
}
