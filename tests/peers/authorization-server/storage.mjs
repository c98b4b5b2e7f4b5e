// Where oidc-provider keeps what it issued. Its own memory adapter forgets after 1,000 entries, which a test with many
// connections passes without a word; this one keeps everything until it expires, and can be told to forget.

const BY_GRANT = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);
const SECRETS = new Set(['AccessToken', 'AuthorizationCode', 'ClientCredentials', 'RefreshToken']);

export class Storage {
  #models = new Map();
  #secrets = new Set();

  /** The adapter factory that oidc-provider asks for. */
  adapter = (name) => new Adapter(this.#rows(name), name, this.#secrets);

  /** How many of each kind are alive: "AccessToken", "RefreshToken", "Grant", … */
  get live() {
    const now = Date.now();
    const alive = (rows) => [...rows.values()].filter(({ payload, expiresAt }) => expiresAt > now && !payload.consumed).length;
    return Object.fromEntries([...this.#models].map(([name, rows]) => [name, alive(rows)]));
  }

  /** Every code and token ever issued, so that a test can look for them where they must not be. */
  get secrets() {
    return [...this.#secrets];
  }

  /** Forgets everything of one kind ("AccessToken", "RefreshToken", "Grant", …) and answers how many there were. */
  forget(name) {
    const rows = this.#rows(name);
    const count = rows.size;
    rows.clear();
    return count;
  }

  #rows(name) {
    if (!this.#models.has(name)) this.#models.set(name, new Map());
    return this.#models.get(name);
  }
}

class Adapter {
  constructor(rows, name, secrets) {
    this.rows = rows;
    this.name = name;
    this.secrets = secrets;
  }

  async upsert(id, payload, expiresIn) {
    // What is left by whole seconds is a second less than what was promised where one passed between making and keeping.
    const promised = this.rows.has(id) ? undefined : payload.exp - payload.iat;
    const life = promised > 0 ? promised : expiresIn;
    const expiresAt = typeof life === 'number' ? Date.now() + life * 1000 : Infinity;
    this.rows.set(id, { payload, expiresAt });
    // Codes and opaque tokens are their own identifiers.
    if (SECRETS.has(this.name)) this.secrets.add(id);
  }

  async find(id) {
    const row = this.rows.get(id);
    if (row !== undefined && row.expiresAt <= Date.now()) {
      this.rows.delete(id);
      return undefined;
    }
    return row?.payload;
  }

  async findByUid(uid) {
    return this.#first((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.#first((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    const row = this.rows.get(id);
    if (row !== undefined) row.payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.rows.delete(id);
  }

  async revokeByGrantId(grantId) {
    if (!BY_GRANT.has(this.name)) return;
    for (const [id, { payload }] of this.rows) {
      if (payload.grantId === grantId) this.rows.delete(id);
    }
  }

  #first(matches) {
    for (const { payload, expiresAt } of this.rows.values()) {
      if (expiresAt > Date.now() && matches(payload)) return payload;
    }
    return undefined;
  }
}
