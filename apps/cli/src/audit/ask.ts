import { operations, type Operation, type ReplyOf } from '@postern/contracts';

import { createProgress } from '../output/progress.ts';
import type { Session } from '../session/session.ts';

type WhoDid = ReplyOf<typeof operations.whoDid>;
type WhoCould = ReplyOf<typeof operations.whoCould>;
type Diff = ReplyOf<typeof operations.diff>;

/** What a question names, as the command line gave it; `audit` checks each part. */
export type Asked = Readonly<Record<string, string | undefined>>;

/** Answers of many pages, as one. */
export interface Whole<Row, Moments> {
  readonly moments: Moments;
  readonly rows: readonly Row[];
  /** There are more than were wanted. */
  readonly more: boolean;
}

interface Paging {
  readonly session: Session;
  readonly tenantId: string;
  readonly asked: Asked;
  readonly rowsMax: number;
}

const pageRows = 200;

/** All uses, page by page; from the second page on, at the moment that the first one named. */
export async function askWhoDid(
  paging: Paging,
): Promise<Whole<WhoDid['uses'][number], WhoDid['answered_at']> & { readonly notBelieved: WhoDid['not_believed'] }> {
  const notBelieved: WhoDid['not_believed'] = [];
  const whole = await everyPage(operations.whoDid, paging, {
    rowsOf: (page) => {
      notBelieved.push(...page.not_believed);
      return page.uses;
    },
    goOn: ({ answered_at: at, next }) => ({ at: at.moment, after: next }),
    tell: ({ read_up_to: read, answered_at: at }) => `ACCESS read up to position ${read} of ${at.access}`,
  });
  return { ...whole, moments: whole.last.answered_at, notBelieved };
}

/** All connections that somebody could have used, or could not, and who. */
export async function askWhoCould(
  paging: Paging,
): Promise<
  Whole<WhoCould['connections'][number], WhoCould['answered_at']> & { readonly platforms: WhoCould['platforms'] }
> {
  const platforms = new Map<string, WhoCould['platforms'][number]>();
  let met = 0;
  const whole = await everyPage(operations.whoCould, paging, {
    rowsOf: (page) => {
      met += page.connections.length;
      for (const platform of page.platforms) platforms.set(platform.platform_id, platform);
      return page.connections;
    },
    goOn: ({ answered_at: at, next }) => ({ at: at.moment, after: next }),
    tell: () => `${met} connections so far`,
  });
  return { ...whole, moments: whole.last.answered_at, platforms: [...platforms.values()] };
}

/** All that differs between two moments. */
export async function askDiff(paging: Paging): Promise<Whole<Diff['changes'][number], Pick<Diff, 'before' | 'after'>>> {
  let met = 0;
  const whole = await everyPage(operations.diff, paging, {
    rowsOf: (page) => {
      met += page.changes.length;
      return page.changes;
    },
    goOn: ({ before, after, next }) => ({ at: before.moment, until: after.moment, after: next }),
    tell: () => `${met} changes so far`,
  });
  return { ...whole, moments: { before: whole.last.before, after: whole.last.after } };
}

interface Pages<Reply, Row> {
  readonly rowsOf: (page: Reply) => readonly Row[];
  readonly goOn: (page: Reply) => Readonly<Record<string, unknown>>;
  readonly tell: (page: Reply) => string;
}

async function everyPage<O extends Operation, Row>(
  operation: O,
  { session, tenantId, asked, rowsMax }: Paging,
  { rowsOf, goOn, tell }: Pages<ReplyOf<O> & { readonly next: unknown }, Row>,
): Promise<{ readonly rows: readonly Row[]; readonly more: boolean; readonly last: ReplyOf<O> }> {
  const progress = createProgress();
  const rows: Row[] = [];
  let request: Readonly<Record<string, unknown>> = { ...asked };
  try {
    for (;;) {
      const limit = Math.min(pageRows, rowsMax - rows.length);
      const page = (await session.call(operation, tenantId, { ...request, limit } as never)) as ReplyOf<O> & {
        readonly next: unknown;
      };
      rows.push(...rowsOf(page));
      progress.tell(tell(page));
      if (page.next === null || rows.length >= rowsMax) return { rows, more: page.next !== null, last: page };
      request = { ...asked, ...goOn(page) };
    }
  } finally {
    progress.end();
  }
}
