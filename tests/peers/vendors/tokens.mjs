// Whose tokens a vendor takes.

/**
 * - `introspection`: `{endpoint, client_id, client_secret}` of the authorization server that issued them, which is asked
 *   each time (RFC 7662), so that a token is over here the moment it is over there;
 * - `tokens`: a list of those that are alive;
 * - neither: any.
 */
export class Tokens {
  #introspection;
  #listed;

  constructor({ introspection, tokens }) {
    this.#introspection = introspection;
    this.#listed = tokens && new Set(tokens);
  }

  /** Whether a bearer token opens anything. */
  async alive(bearer) {
    if (this.#listed) return this.#listed.has(bearer);
    if (!this.#introspection) return true;
    const { endpoint, client_id, client_secret } = this.#introspection;
    const form = new URLSearchParams({ token: bearer, token_type_hint: 'access_token', client_id, client_secret });
    const answer = await fetch(endpoint, { method: 'POST', body: form });
    if (answer.status !== 200) throw new Error(`introspection answers ${answer.status}: ${await answer.text()}`);
    return (await answer.json()).active === true;
  }
}
