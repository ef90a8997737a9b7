import { Injectable } from '@nestjs/common';
import { ReportedRejection, type SignalOutcome } from '@postern/contracts';
import {
  decideOnRejection,
  isSuspected,
  weightOfRejection,
  type Connection,
  type RejectionWeight,
} from '@postern/domain';
import { commitOrigin } from '@postern/service';

import { Connections } from '../connections.ts';
import { AskProvider, type Asked } from '../inquiry/ask-provider.ts';
import type { StoredSignal } from '../signals/weigh-signal.ts';
import type { Weighed } from '../signals/weighed-signals.ts';
import { evidenceOfRejection } from './rejection-evidence.ts';

/** Weighs what a platform reported, and has the provider asked where that is worth it. */
@Injectable()
export class WeighRejection {
  constructor(
    private readonly connections: Connections,
    private readonly provider: AskProvider,
  ) {}

  /** @effect as of every signal: repeated, it does what is left. @throws {PosternError} `log.*`, `bus.*`: weigh it again */
  async weigh({ signal, position }: StoredSignal): Promise<Weighed> {
    const { tenantId, registrationId } = signal;
    const body = ReportedRejection.safeParse(signal.body);
    if (!body.success) return weighedAs('unreadable');
    const { connectionId, credentialVersion } = body.data;
    const command = { credentialVersion, evidence: evidenceOfRejection(signal, position) };
    let weight: RejectionWeight = 'moot';
    const { state } = await this.connections.execute(
      { tenantId, id: connectionId },
      (current) => {
        const isTheirs = current.registrationId === registrationId;
        weight = isTheirs ? weightOfRejection(command, current) : 'moot';
        return isTheirs ? decideOnRejection(command, current) : [];
      },
      { actor: { type: 'service', id: 'revocation' }, ...commitOrigin(), fromLeader: true },
    );
    const isItsOwn = state.credential?.signal?.position === position;
    if (!isItsOwn || !isSuspected(state)) return weighedAs(isItsOwn ? decidedIn(state) : outcomeOf[weight]);
    const asked = await this.provider.about({ tenantId, connectionId, evidence: command.evidence });
    return weighedAs(outcomeAfter[asked.kind], asked);
  }
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
