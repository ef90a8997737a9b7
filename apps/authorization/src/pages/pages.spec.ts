import { createHash } from 'node:crypto';

import { PosternError } from '@postern/contracts';

import { connectPage } from './connect-page.ts';
import { html, pagePolicy } from './html.ts';
import { problemPage } from './problem-page.ts';

const hostile = `"><script>alert('1')</script>&`;
const view = {
  purpose: 'connect' as const,
  platformName: 'Agents',
  providerName: 'Acme',
  providerHost: 'acme.example',
  scopes: ['read', 'write'],
  formToken: 'token',
};

describe('markup', () => {
  test('escapes every value and keeps markup', () => {
    expect(html`<p title="${hostile}">${html`<b>${'<'}</b>`}${[html`<i></i>`]}</p>`.text).toBe(
      '<p title="&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;"><b>&lt;</b><i></i></p>',
    );
  });

  test('takes out what turns writing around', () => {
    expect(html`${'a\u202Eb\u2066c\u0000d'}`.text).toBe('a b c d');
  });
});

describe('the connect page', () => {
  test('names both sides, the host and every scope, in one language, with one heading and one button', () => {
    const text = connectPage(view);
    for (const part of [
      'Agents',
      'Acme',
      'acme.example',
      '<code>read</code>',
      '<code>write</code>',
      '<html lang="en">',
    ]) {
      expect(text).toContain(part);
    }
    expect(text.match(/<h1>/g)).toHaveLength(1);
    expect(text.match(/<button/g)).toHaveLength(1);
    expect(connectPage({ ...view, purpose: 'reauthorize' })).toContain('again</h1>');
    expect(connectPage({ ...view, scopes: [] })).toContain('no particular permission');
  });

  test('no name, scope or token can put markup into it', () => {
    const names = { platformName: hostile, providerName: hostile, providerHost: hostile, formToken: hostile };
    const text = connectPage({ ...view, ...names, scopes: [hostile] });
    expect(text).not.toContain('<script');
    expect(text.match(/<form/g)).toHaveLength(1);
  });

  test('its policy lets in its own style and nothing else', () => {
    const style = /<style>([\s\S]*?)<\/style>/.exec(connectPage(view))?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(pagePolicy).toBe(`default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; frame-ancestors 'none'`);
  });
});

test('an error page has its code and its reference, and nothing that was said inside', () => {
  const text = problemPage(new PosternError('service.internal', 'the inner detail'), 'cor_1');
  expect(text).toContain('service.internal');
  expect(text).toContain('cor_1');
  expect(text).not.toContain('inner detail');
});
