import { httpRoutes } from '@postern/contracts';

import { appFor } from './path-table.ts';

test.each(Object.entries(httpRoutes))('the path of %s reaches the app that serves it', (_name, { path, app }) => {
  expect(appFor(path.replace(/\{\w+\}/g, 'x'))).toBe(app);
});

test.each(['/', '/v1', '/metrics', '/oauth/tokens', '/connect', '/v2/connections', '/oauth/token/x'])(
  '%s reaches nobody',
  (path) => {
    expect(appFor(path)).toBeUndefined();
  },
);

test('a query does not change the way', () => {
  expect(appFor('/oauth/token?x=/connect/')).toBe('gateway');
});
