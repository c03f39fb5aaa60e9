// SPDX-License-Identifier: Apache-2.0
/* The server's rule for passwords (api/openapi.yaml, User.password), one part at a time. */
export interface Rule {
  id: "length" | "upper" | "lower" | "digit" | "special";
  isMet: boolean;
}

export function passwordRules(password: string): Rule[] {
  const length = new TextEncoder().encode(password).length;
  return [
    { id: "length", isMet: length >= 8 && length <= 256 },
    { id: "upper", isMet: /[A-Z]/.test(password) },
    { id: "lower", isMet: /[a-z]/.test(password) },
    { id: "digit", isMet: /[0-9]/.test(password) },
    { id: "special", isMet: /[!@#$%^&*_+]/.test(password) },
  ];
}
