// SPDX-License-Identifier: Apache-2.0
/*
 * Who is logged in, and the API as that user. Every request of a page goes through ask(): an answer
 * 401 ends the session and leads to the login page, which comes back to where it was.
 *
 *     const model = await ask(api.GET("/v2/models/{id}", { params: { path: { id: 3 } } }));
 *     session.user?.is_admin
 */
import { ApiError, connect, unwrap, type Schemas } from "./api/client.js";
import { startLive, stopLive, whenRefused } from "./live.svelte.js";

type User = Schemas["User"];

export const api = connect();

let user = $state.raw<User | null>(null);
let mustChange = $state(false);
let isKnown = $state(false);

export const session = {
  /** Null: nobody. */
  get user(): User | null {
    return user;
  },
  get isAdmin(): boolean {
    return user?.is_admin === true;
  },
  get mustChangePassword(): boolean {
    return mustChange;
  },
  /** False until the first answer of the server. */
  get isKnown(): boolean {
    return isKnown;
  },
};

interface Answer<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

/** The data of an answer; throws ApiError. */
export async function ask<Data>(answer: Promise<Answer<Data>>): Promise<Data> {
  try {
    return unwrap(await answer);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) end();
    throw error;
  }
}

function begin(who: User): void {
  user = who;
  mustChange = who.require_password_change === true;
  if (!mustChange) startLive();
}

function end(): void {
  user = null;
  mustChange = false;
  stopLive();
}

/** The stream was refused: the account may be gone, or has to choose a password first. */
async function lookAgain(): Promise<void> {
  try {
    user = unwrap(await api.GET("/v2/users/me"));
    mustChange = user.require_password_change === true;
  } catch (error) {
    if (error instanceof ApiError) end();
  }
}
whenRefused(() => void lookAgain());

/** At the start: the cookie may be good. */
export async function findSession(): Promise<void> {
  try {
    begin(unwrap(await api.GET("/v2/users/me")));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    end();
  } finally {
    isKnown = true;
  }
}

export async function logIn(username: string, password: string): Promise<void> {
  unwrap(await api.POST("/auth/login", { body: { username, password } }));
  await findSession();
}

/** Other sessions end with it, so this one logs in again. */
export async function changePassword(current: string, next: string): Promise<void> {
  const name = user?.username ?? "";
  unwrap(
    await api.POST("/auth/update-password", {
      body: { current_password: current, new_password: next },
    }),
  );
  await logIn(name, next);
}

export async function logOut(): Promise<void> {
  await api.POST("/auth/logout").catch(() => undefined);
  end();
}
