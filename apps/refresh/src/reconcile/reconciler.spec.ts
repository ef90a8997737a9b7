import { Clock, Metrics } from '@postern/service';

import { Reconciler } from './reconciler.ts';
import { SurveyFindings } from './survey-findings.ts';

/** A reconciler whose surveys end when they are told to. */
function reconciler() {
  const surveys: PromiseWithResolvers<SurveyFindings>[] = [];
  const survey = {
    run: () => {
      surveys.push(Promise.withResolvers());
      return surveys.at(-1)?.promise;
    },
  };
  const logger = { debug: () => undefined, warn: () => undefined };
  const parts = [{}, survey, {}, new Clock(), { instanceId: 'one' }, logger, new Metrics()];
  const made = new Reconciler(...(parts as unknown as ConstructorParameters<typeof Reconciler>));
  const end = () => {
    const findings = new SurveyFindings(Date.now());
    findings.connections = surveys.length;
    for (const { resolve } of surveys) resolve(findings);
  };
  return { made, surveys, end };
}

test('who asks how refreshing goes while the log is compared waits for that, and begins nothing beside it', async () => {
  const { made, surveys, end } = reconciler();
  const asked = [made.status(), made.status(), made.status()];
  end();
  expect((await Promise.all(asked)).map(({ connections }) => connections)).toEqual([1, 1, 1]);
  expect(surveys).toHaveLength(1);
});

test('reconciling is waited for as well, and looks for itself though somebody asks', async () => {
  const { made, surveys, end } = reconciler();
  const first = made.status();
  const reconciled = made.reconcile();
  const second = made.status();
  expect(surveys).toHaveLength(2);
  end();
  await Promise.all([first, second, reconciled]);
  expect(surveys).toHaveLength(2);
});
