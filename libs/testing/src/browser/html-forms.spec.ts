import { parseForms, textOf } from './html-forms.ts';

const url = 'https://postern.example/connect/ses_1?x=1';

test('a form is read with its fields, buttons and absolute action', () => {
  const html = `<!-- <form action="/trap"></form> --><form class=a method='post' action="/go?a=1&amp;b=2">
    <input type="hidden" name="csrf" value="&quot;t&#39;&#x41;"><input name=email type=email required>
    <input type="checkbox" name="on" checked><input type="checkbox" name="off"><input name="gone" disabled>
    <button name="decision" value="allow">Allow <b>it</b></button><button type="button">Help</button>
    <input type="submit" value="Send"></form>`;
  expect(parseForms(html, url)).toEqual([
    {
      method: 'POST',
      action: 'https://postern.example/go?a=1&b=2',
      fields: [
        { name: 'csrf', type: 'hidden', value: '"t\'A' },
        { name: 'email', type: 'email', value: '' },
        { name: 'on', type: 'checkbox', value: 'on' },
      ],
      buttons: [
        { name: '', value: 'Send', text: 'Send' },
        { name: 'decision', value: 'allow', text: 'Allow it' },
      ],
    },
  ]);
});

test('a form without method and action is a GET to its own page', () => {
  expect(parseForms('<form><button>Go</button></form>', url)).toMatchObject([{ method: 'GET', action: url }]);
});

test('the text of a page is what a person reads', () => {
  expect(textOf('<head><title>t</title></head><style>p{}</style><p>Ada &amp; <b>Grace</b></p>')).toBe('Ada & Grace');
});
