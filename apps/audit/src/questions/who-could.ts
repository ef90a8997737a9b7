import { Injectable } from '@nestjs/common';
import {
  administratorToken,
  isPosternError,
  limits,
  operations,
  PosternError,
  timestampOf,
  type Moment,
  type ReplyOf,
  type RequestOf,
  type UsableConnection,
  type UsingPlatform,
} from '@postern/contracts';
import {
  leaseDecision,
  loadDelegationChain,
  requireEnabled,
  type Connection,
  type DelegationChain,
} from '@postern/domain';
import type { Loaded } from '@postern/event-log';
import type { Call } from '@postern/nats';
import { callingOwner, Serves } from '@postern/service';

import { sees, type Asker } from '../connection-log.ts';
import { Appearances } from '../past/appearances.ts';
import type { Directory } from '../past/directory.ts';
import { Past } from '../past/past.ts';
import { WatchLog } from '../watch/watch-log.ts';
import { pageDefault, pageMs } from './page.ts';

type Request = RequestOf<typeof operations.whoCould>;
type Reply = ReplyOf<typeof operations.whoCould>;

/** What is asked, where the log stood, and by whom. */
interface Question {
  readonly request: Request;
  readonly asker: Asker;
  readonly moment: Moment;
  readonly directory: Directory;
}

interface AboutOne extends Question {
  /** What stood behind it then. */
  readonly chain: DelegationChain;
}

/**
 * Answers `audit.who_could`: by the very decisions that the vault takes when it is asked for a lease, on the states of
 * that moment.
 */
@Injectable()
export class WhoCould {
  constructor(
    private readonly past: Past,
    private readonly appearances: Appearances,
    private readonly watch: WatchLog,
  ) {}

  @Serves(operations.whoCould)
  async answer(request: Request, call: Call): Promise<Reply> {
    const asker = callingOwner(call);
    const moment = await this.past.moment(request.at);
    const directory = await this.past.directory(asker.tenantId, moment.admin);
    const question = { request, asker, moment, directory };
    requireNamed(question);
    const { connections, next } =
      request.connection_id === undefined
        ? await this.#page(question)
        : { connections: await this.#one(question, request.connection_id), next: null };
    // Also of an agent or platform that reaches nothing is told what it is.
    const { agent_id: agentId, platform_id: platformId } = request;
    const asked = agentId === undefined ? platformId : directory.agent(agentId)?.platformId;
    const platformIds = new Set(connections.map(({ platform_id: id }) => id));
    if (asked !== undefined) platformIds.add(asked);
    return {
      answered_at: moment,
      connections,
      platforms: [...platformIds].map((id) => platformOf(id, question)),
      next,
    };
  }

  async #one(question: Question, connectionId: string): Promise<UsableConnection[]> {
    const { asker, moment } = question;
    const loaded = await this.past.connection({ tenantId: asker.tenantId, id: connectionId }, moment.connections);
    if (loaded.revision === 0 || !sees(asker, loaded.state.platformId)) {
      throw new PosternError('connection.not_found', 'There was no such connection then.');
    }
    return isWanted(loaded.state, question) ? [await this.#usable(loaded, question)] : [];
  }

  /** Some at a time, until a page is full or took long enough. */
  async #page(question: Question): Promise<Pick<Reply, 'connections' | 'next'>> {
    const { request, asker, moment } = question;
    const { after = 0, limit = pageDefault } = request;
    const untilPosition = moment.connections;
    await this.watch.untilConnections(untilPosition, { timeoutMs: limits.requestTimeoutMs / 2 });
    const connections: UsableConnection[] = [];
    const deadlineMs = performance.now() + pageMs;
    let position = after;
    for (;;) {
      const appeared = [...take(this.appearances.between(asker.tenantId, { after: position, untilPosition }), limit)];
      const ids = appeared.map(({ connectionId }) => connectionId);
      const loaded = await this.past.connections(asker.tenantId, ids, untilPosition);
      for (const [index, one] of loaded.entries()) {
        if (connections.length === limit) return { connections, next: position };
        position = appeared[index]?.position ?? position;
        if (!sees(asker, one.state.platformId) || !isWanted(one.state, question)) continue;
        connections.push(await this.#usable(one, question));
      }
      if (appeared.length < limit) return { connections, next: null };
      if (performance.now() > deadlineMs) return { connections, next: position };
    }
  }

  /** A derived connection could be used as far as those could that it leaned on then. */
  async #usable(loaded: Loaded<Connection>, question: Question): Promise<UsableConnection> {
    const { tenantId, credential } = loaded.state;
    const { connections: position } = question.moment;
    const chain = await loadDelegationChain(
      credential?.delegation,
      async (id) => (await this.past.connection({ tenantId, id }, position)).state,
    );
    return usable(loaded, { ...question, chain });
  }
}

/** Whoever is named must have been there: an empty answer about a misspelt name would read as "nobody". */
function requireNamed({ request, asker, directory }: Question): void {
  const { platform_id: platformId, agent_id: agentId, registration_id: registrationId } = request;
  const agent = agentId === undefined ? undefined : directory.agent(agentId);
  if (agentId !== undefined && (agent === undefined || !sees(asker, agent.platformId))) {
    throw new PosternError('agent.not_found', 'There was no such agent then.');
  }
  if (
    platformId !== undefined &&
    (directory.platform(platformId) === undefined ||
      (asker.platformId !== administratorToken && asker.platformId !== platformId))
  ) {
    throw new PosternError('platform.not_found', 'There was no such platform then.');
  }
  if (registrationId !== undefined && directory.registration(registrationId) === undefined) {
    throw new PosternError('registration.not_found', 'There was no such client registration then.');
  }
}

function isWanted(state: Connection, { request, directory }: Question): boolean {
  const { platform_id: platformId, agent_id: agentId, registration_id: registrationId } = request;
  return (
    (platformId === undefined || state.platformId === platformId) &&
    (agentId === undefined || state.platformId === directory.agent(agentId)?.platformId) &&
    (registrationId === undefined || state.registrationId === registrationId)
  );
}

function usable({ state, revision, position }: Loaded<Connection>, question: AboutOne): UsableConnection {
  const code = refusalOf(() => requireLeasable(state, question)) ?? platformRefusal(state.platformId, question);
  const { credential } = state;
  const endsAtMs = credential?.accessTokenExpiresAtMs ?? null;
  return {
    connection_id: state.connectionId,
    platform_id: state.platformId,
    provider: state.providerId,
    registration_id: state.registrationId,
    authorization: state.authorization,
    suspended: state.suspended,
    scope: credential?.grantedScopes ?? [],
    credential_version: credential?.version ?? null,
    token_expires_at: endsAtMs === null ? null : timestampOf(endsAtMs),
    could: code === null,
    code,
    revision,
    position,
  };
}

/** What ended can be had by a refresh only, and no refresh goes through a registration that is disabled. */
function requireLeasable(state: Connection, { moment, directory, chain }: AboutOne): void {
  const { tenantId, platformId } = state;
  const decision = leaseDecision(state, { nowMs: Date.parse(moment.time), tenantId, platformId, chain });
  if (decision.kind === 'grant') return;
  const noRegistration = { exists: false, disabled: false };
  requireEnabled('registration', directory.registration(state.registrationId) ?? noRegistration);
}

function platformRefusal(platformId: string, { directory }: Question): string | null {
  const none = { exists: false, disabled: false };
  return refusalOf(() => {
    requireEnabled('tenant', directory.tenant() ?? none);
    requireEnabled('platform', directory.platform(platformId) ?? none);
  });
}

function platformOf(platformId: string, question: Question): UsingPlatform {
  const { directory, request } = question;
  const code = platformRefusal(platformId, question);
  const agents = directory.agentsOf(platformId).filter(({ agentId }) => agentId === (request.agent_id ?? agentId));
  return {
    platform_id: platformId,
    name: directory.platform(platformId)?.name ?? '',
    could: code === null,
    code,
    agents: agents.map((agent) => {
      const agentCode = code ?? refusalOf(() => requireEnabled('agent', agent));
      return { agent_id: agent.agentId, name: agent.name, could: agentCode === null, code: agentCode };
    }),
  };
}

/** The code with which something would have been refused; null where it would not. */
function refusalOf(decide: () => unknown): string | null {
  try {
    decide();
    return null;
  } catch (error) {
    if (isPosternError(error)) return error.code;
    throw error;
  }
}

function* take<T>(items: Iterable<T>, count: number): Iterable<T> {
  let taken = 0;
  for (const item of items) {
    if (taken === count) return;
    taken += 1;
    yield item;
  }
}
