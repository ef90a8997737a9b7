import { isId } from '@postern/contracts';

import type { AdminFeed } from './admin-feed.ts';

type Kind = keyof AdminFeed['views'];
type StateOf<K extends Kind> = NonNullable<ReturnType<AdminFeed['views'][K]['get']>>['state'];

/** Every aggregate of one kind on ADMIN by its id alone: who calls from outside knows no tenant. */
export class AdminView<K extends Kind> {
  readonly #feed: AdminFeed;
  readonly #kind: K;

  constructor(feed: AdminFeed, kind: K) {
    this.#feed = feed;
    this.#kind = kind;
  }

  /**
   * What is not known yet may have been written a moment ago, so it is looked up again at the end of the log, however
   * many strangers ask for what was never there.
   *
   * @returns undefined when there is no such aggregate.
   * @throws {PosternError} `service.not_ready` while the feed is stale
   */
  async find(id: string): Promise<StateOf<K> | undefined> {
    if (!isId(this.#kind, id)) return undefined;
    this.#feed.requireFresh();
    const known = this.#known(id);
    if (known !== undefined) return known;
    await this.#feed.caughtUp();
    return this.#known(id);
  }

  /** All that are known now. */
  all(): StateOf<K>[] {
    const ids = [...this.#feed.tenants[this.#kind].keys()];
    return ids.map((id) => this.#known(id)).filter((state) => state !== undefined);
  }

  #known(id: string): StateOf<K> | undefined {
    const tenantId = this.#feed.tenants[this.#kind].get(id);
    if (tenantId === undefined) return undefined;
    const state = this.#feed.views[this.#kind].get({ tenantId, id })?.state as StateOf<K> | undefined;
    return state?.exists === true ? state : undefined;
  }
}
