import { eventDefinitions, mayWrite } from './events.ts';
import { identityNames } from './apps.ts';
import { currentEpoch, epochOf, subjects } from './subjects.ts';

const ids = { tenantId: 'ten_a', connectionId: 'con_b' };

test('every event has a writer, and only its writers may write it', () => {
  for (const { type, writers } of eventDefinitions.values()) {
    expect(writers.length).toBeGreaterThan(0);
    expect(identityNames.filter((identity) => mayWrite(identity, type)).toSorted()).toEqual([...writers].toSorted());
  }
});

test('only a claim, and what moves a connection between epochs, have several writers', () => {
  const shared = [...eventDefinitions.values()].filter(({ writers }) => writers.length > 1).map(({ type }) => type);
  expect(shared).toEqual(['RefreshStarted', 'EpochClosed', 'EpochOpened']);
});

test('nobody may write an event there is not', () => {
  for (const identity of identityNames) expect(mayWrite(identity, 'ConnectionBlessed')).toBe(false);
});

test('a connection’s subject names its epoch: the open one unless another is named', () => {
  expect(subjects.connection(ids)).toBe(`connection.${currentEpoch}.ten_a.con_b`);
  expect(subjects.connection({ ...ids, epoch: 2 })).toBe('connection.2.ten_a.con_b');
  expect(epochOf(subjects.connection({ ...ids, epoch: 12 }))).toBe(12);
});

test.each(['admin.ten_a.tenant.ten_a', 'connection.0.a.b', 'connection.01.a.b', 'connection.x.a.b', 'connection.1.a'])(
  '%s stands in no epoch',
  (subject) => {
    expect(epochOf(subject)).toBeUndefined();
  },
);
