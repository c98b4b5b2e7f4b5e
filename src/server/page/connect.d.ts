/** Types of `connect.js`. Every function rejects with a {@link KeyferryError}. */

/** Who asks. */
export interface Who {
  /**
   * A Keyferry session (`kfs_…`) for this person, or a function that gets one. Leave it out where the application's own
   * login says who is there (same origin), and in the open mode.
   */
  session?: string | (() => string | Promise<string>);
  /** The organisation, in the open mode. A session or login knows it. */
  org_id?: string;
  /** The user, in the open mode. */
  user_id?: string;
  /** Gives up: the promise rejects with `aborted`. */
  signal?: AbortSignal;
}

/** How to connect. */
export interface ConnectOptions extends Who {
  /** Values that the provider needs first, such as a subdomain; {@link Integration.variables} lists them. */
  variables?: Record<string, string>;
  /** Scopes instead of the configured ones. */
  scope?: string | string[];
  /** Parameters for the provider's own page, such as `login_hint` or `prompt`; none that binds the authorization. */
  authorizationParams?: Record<string, string>;
  /**
   * A page of the application's own origin that imports `connect.js`. The window comes back there, hands what it brings to
   * this page and closes. Needed where the application has another origin than Keyferry and the provider's pages send
   * Cross-Origin-Opener-Policy. Its origin has to be in `server.allowed_origins`.
   */
  returnTo?: string;
  /**
   * `false` sends this page itself to the provider and back to `returnTo` (by default its present address), where
   * {@link Keyferry.returned} gives the connection; the promise then never settles. A window that was opened already is used.
   */
  popup?: false | Window;
  /** Milliseconds until it rejects with `timeout`; ten minutes unless set. */
  timeout?: number;
  /** Milliseconds that the window may look closed, with the person back on this page, before `popup_closed`; ten seconds. */
  grace?: number;
}

/** Which items to load. */
export interface ItemsOptions extends Who {
  /** Only items of this type. */
  type?: string;
  /** At most so many; the end then has `next`. */
  limit?: number;
  /** `next` of an earlier call. */
  cursor?: string;
}

/** One account, linked. Never holds a token. */
export interface Connection {
  connection: string;
  integration: string;
  provider: string;
  org_id: string;
  user_id: string;
  status: "active" | "reconnect_required" | "disconnected";
  scopes: string[];
  /** RFC 3339. The token is renewed before. */
  expires_at: string | null;
  captured: Record<string, string>;
  /** Another one after each connecting, the same after each refresh. */
  authorization: string | null;
  /** RFC 3339. */
  updated_at: string;
}

/** One configured integration, with the person's status at it. */
export interface Integration {
  integration: string;
  provider: string;
  display_name: string;
  category: string | null;
  documentation: string | null;
  /** False while the operator still has to set something. */
  configured: boolean;
  /** `operator`: nobody connects or disconnects, and all calls carry one grant. */
  connected_by: "person" | "operator";
  /** Whether {@link Keyferry.items} knows how to load its items. */
  items: boolean;
  variables: Variable[];
  org_id: string | null;
  user_id: string | null;
  status: Connection["status"] | null;
  connection: string | null;
  authorization: string | null;
  updated_at: string | null;
}

/** A value that whoever connects is asked for. */
export interface Variable {
  name: string;
  title: string | null;
  help: string | null;
  default: string | null;
  /** A regular expression that matches the whole value. */
  pattern: string | null;
  /** The only values, unless empty. */
  enum: string[];
  /** Whether it is to be typed as a password is. */
  secret: boolean;
}

/** One record of a provider's API, under the names that all share. Times are RFC 3339 in UTC. */
export interface Item {
  id: string;
  type: string | null;
  directory: boolean;
  parent_path_or_name: string | null;
  parent_id: string | null;
  name: string | null;
  creation_time: string | null;
  last_modified_time: string | null;
  url: string | null;
  children: string[] | null;
  mime_type: string | null;
  delta: string | null;
  drive_id: string | null;
  visibility: boolean;
}

/** What stands behind the last item. */
export interface ItemsEnd {
  /** What could not be read; everything else came. */
  problems: { code: string; detail: string; [more: string]: unknown }[];
  /** Where to go on, or null at the end. */
  next: string | null;
}

/** Why something did not work. */
export declare class KeyferryError extends Error {
  /**
   * `authorization_denied` · `popup_closed` · `popup_blocked` · `timeout` · `aborted` · `unreachable` · `incomplete` ·
   * `handed_over` · `bad_request` for a name or `returnTo` that cannot be one, or the code of Keyferry's answer, such as
   * `not_connected`, `reconnect_required`, `unauthenticated`.
   */
  readonly code: string;
  /** A sentence for a person. */
  readonly detail: string;
  /** The HTTP status, where Keyferry answered. */
  readonly status?: number;
  /** The connect page at that integration, where connecting helps. */
  readonly connectUrl?: string;
  /** The integration, where {@link Keyferry.returned} rejects. */
  readonly integration?: string;
}

export interface Keyferry {
  /** Lets the person connect an account. Call it inside of a click: it opens a window at once. */
  connect(integration: string, options?: ConnectOptions): Promise<Connection>;
  /**
   * On a page that was named as `returnTo`: the connection that its address brought back, or null where it brought none.
   * Rejects with `handed_over` in a window whose opener has taken it. An address that no attempt of this tab brought here
   * causes no request: rejects with `state_mismatch`, or null where it says that all is done.
   */
  returned(options?: Who): Promise<Connection | null>;
  /** The configured integrations, with this person's status at each. */
  list(options?: Who): Promise<Integration[]>;
  /** This person's connection; rejects with `not_connected` where there never was one. */
  connection(integration: string, options?: Who): Promise<Connection>;
  /** Ends the connection here at once, and at the provider. */
  disconnect(integration: string, options?: Who): Promise<Connection>;
  /** Hands in the one-time code of an authorization that this person began. */
  confirm(integration: string, code: string, options?: Who): Promise<Connection>;
  /** The items of the connection as they come; ends with what went wrong and where to go on. */
  items(integration: string, options?: ItemsOptions): AsyncGenerator<Item, ItemsEnd, void>;
}

export declare const keyferry: Keyferry;
