import type { NatsNode } from './nats-node.ts';

const answerTimeoutMs = 2_000;

/** What a node knows of a Raft group. */
export interface GroupView {
  readonly leader?: string;
  readonly replicas?: readonly {
    readonly name: string;
    readonly current: boolean;
    readonly offline?: boolean;
    readonly lag?: number;
  }[];
}

interface Jsz {
  readonly meta_cluster?: GroupView;
  readonly account_details?: readonly {
    readonly stream_detail?: readonly { readonly name: string; readonly cluster?: GroupView }[];
  }[];
}

/** Asks a node about the streams' coordination, or with a name about one stream; undefined when it does not know. */
export async function groupView(node: NatsNode, stream?: string): Promise<GroupView | undefined> {
  const query = stream === undefined ? '' : '?accounts=true&streams=true';
  try {
    const answer = await fetch(`${node.monitorUrl}/jsz${query}`, { signal: AbortSignal.timeout(answerTimeoutMs) });
    const jsz = (await answer.json()) as Jsz;
    if (stream === undefined) return jsz.meta_cluster;
    const streams = jsz.account_details?.flatMap(({ stream_detail: details }) => details ?? []);
    return streams?.find(({ name }) => name === stream)?.cluster;
  } catch {
    return undefined;
  }
}

/** The leader that most nodes agree upon, if it is one that the others reach. */
export async function agreedLeader(nodes: readonly NatsNode[], stream?: string): Promise<NatsNode | undefined> {
  const reachable = nodes.filter(({ isReachable }) => isReachable);
  const views = await Promise.all(reachable.map((node) => groupView(node, stream)));
  return reachable.find(({ name }) => {
    const votes = views.filter((view) => view?.leader === name).length;
    return votes * 2 > nodes.length;
  });
}

/** Does the agreed leader hear from every other node, and do they hold what it holds? */
export async function isInStep(nodes: readonly NatsNode[], stream?: string): Promise<boolean> {
  const leader = await agreedLeader(nodes, stream);
  const { replicas = [] } = (leader && (await groupView(leader, stream))) ?? {};
  const heard = replicas.filter(({ current, offline = false, lag = 0 }) => current && !offline && lag === 0);
  return heard.length === nodes.length - 1;
}
