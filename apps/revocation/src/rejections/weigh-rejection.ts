import { Injectable } from '@nestjs/common';
import {
  InactiveToken,
  inspectionSource,
  ReportedRejection,
  type Signal,
  type SignalOutcome,
} from '@postern/contracts';
import {
  decideOnRejection,
  isSuspected,
  weightOfRejection,
  type Connection,
  type DecideOnRejection,
  type RejectionWeight,
} from '@postern/domain';
import { Clock, commitOrigin, Logger, Metrics } from '@postern/service';

import { Connections } from '../connections.ts';
import { AskProvider, type Asked, type Suspicion } from '../inquiry/ask-provider.ts';
import { OutageGate, type Hint } from '../inquiry/outage-gate.ts';
import type { StoredSignal } from '../signals/weigh-signal.ts';
import type { Weighed } from '../signals/weighed-signals.ts';
import { evidenceOfRejection } from './rejection-evidence.ts';

/** Weighs what a platform reported, or an inspection found, and has the provider asked where that is worth it. */
@Injectable()
export class WeighRejection {
  readonly #gate = new OutageGate();

  constructor(
    private readonly connections: Connections,
    private readonly provider: AskProvider,
    private readonly clock: Clock,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    metrics.gauge('postern.rejection_waves', () => this.#gate.waves(this.clock.nowMs()));
  }

  /** @effect as of every signal: repeated, it does what is left. @throws {PosternError} `log.*`, `bus.*`: weigh it again */
  async weigh({ signal, position }: StoredSignal): Promise<Weighed> {
    const { tenantId, registrationId } = signal;
    const said = refusedIn(signal);
    if (said === undefined) return weighedAs('unreadable');
    const { connectionId, ...about } = said;
    const ref = { tenantId, connectionId };
    const command = { ...about, evidence: evidenceOfRejection(signal, position) };
    const { state } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const isItsOwn = state.credential?.signal?.position === position;
    if (isItsOwn && !isSuspected(state)) return weighedAs(decidedIn(state));
    const weight = state.registrationId === registrationId ? weightOfRejection(command, state) : 'moot';
    if (!isItsOwn && weight !== 'hint') return weighedAs(outcomeOf[weight]);
    const hint = { registrationId, connectionId, receivedAtMs: signal.receivedAtMs, isNew: !isItsOwn };
    return await this.#inTurn(hint, () => this.#ask(ref, command));
  }

  /** In a wave of refusals nobody is even suspected before his turn comes. */
  async #inTurn(hint: Hint, ask: () => Promise<Asked>): Promise<Weighed> {
    const admission = this.#gate.enter(hint, this.clock.nowMs());
    if (admission.waveBegan) {
      const { registrationId } = hint;
      this.logger.error('many tokens of one client registration are refused: an outage, until one is confirmed dead', {
        registrationId,
      });
    }
    if (admission.kind === 'let_be') return weighedAs('recorded');
    if (admission.kind === 'wait') return weighedAs('suspected', { kind: 'again', retryAfterMs: admission.delayMs });
    let asked: Asked | undefined;
    try {
      asked = await ask();
      return weighedAs(outcomeAfter[asked.kind], asked);
    } finally {
      this.#gate.ended(hint, asked, this.clock.nowMs());
    }
  }

  async #ask({ tenantId, connectionId }: Omit<Suspicion, 'evidence'>, command: DecideOnRejection): Promise<Asked> {
    await this.connections.execute({ tenantId, id: connectionId }, (current) => decideOnRejection(command, current), {
      actor: { type: 'service', id: 'revocation' },
      ...commitOrigin(),
      fromLeader: true,
    });
    return await this.provider.about({ tenantId, connectionId, evidence: command.evidence });
  }
}

/** Whose token was refused, and which; undefined for what is no such report. */
function refusedIn({ source, verified, body }: Signal) {
  const isInspection = source === inspectionSource;
  const { data } = (isInspection ? InactiveToken : ReportedRejection).safeParse(body);
  if (data === undefined) return undefined;
  const { connectionId, credentialVersion } = data;
  const isIntrospected = isInspection && 'asked' in verified && verified.asked === 'introspection';
  const refused = isIntrospected ? ('refresh_token' as const) : ('access_token' as const);
  return { connectionId, credentialVersion, refused };
}

/** What this signal has come to by now. */
function decidedIn({ authorization }: Connection): SignalOutcome {
  return authorization === 'authorized' ? 'disproved' : 'revoked';
}

const outcomeOf: Readonly<Record<RejectionWeight, SignalOutcome>> = {
  hint: 'suspected',
  suspected: 'suspected',
  asked_lately: 'disproved',
  outdated: 'outdated',
  moot: 'moot',
};

const outcomeAfter: Readonly<Record<Asked['kind'], SignalOutcome>> = {
  confirmed: 'revoked',
  disproved: 'disproved',
  unknown: 'suspected',
  again: 'suspected',
};

function weighedAs(outcome: SignalOutcome, asked?: Asked): Weighed {
  return {
    outcome,
    matched: outcome === 'unreadable' ? 0 : 1,
    revoked: outcome === 'revoked' ? 1 : 0,
    suspected: outcome === 'suspected' ? 1 : 0,
    ...(asked?.kind === 'again' && { againAfterMs: asked.retryAfterMs ?? 0 }),
  };
}
