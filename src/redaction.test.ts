import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { redactor, scrub } from './redaction.ts'

const secret = 'hunter2-correct-horse'
const pem =
  '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R\n-----END KEY-----\n'
const body = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC'
const token = 'aB3_'.repeat(11).slice(0, 43)

const cases: Record<string, [said: string, secrets: string[], shown: string]> = {
  plain: [`key=${secret};`, [secret], 'key=[redacted];'],
  'a colour inside': ['key=hunter2-\u001B[1mcorrect\u001B[0m-horse;', [secret], 'key=[redacted];'],
  'a control character inside': ['key=hunter2-\0correct-\u200Bhorse;', [secret], 'key=[redacted];'],
  'a line end after the value in its Secret': [`x ${secret} loaded`, [`${secret}\n`], 'x [redacted] loaded'],
  'many lines, between carriage returns': [`<${pem.replaceAll('\n', '\r\n')}>`, [pem], '<[redacted]\n>'],
  'many lines, indented, without the last line end': [
    `<${pem.trim().replaceAll('\n', '\n   ')}> loaded`,
    [pem],
    '<[redacted]> loaded',
  ],
  'one line of many': [`line: ${body}!`, [pem], 'line: [redacted]!'],
  'a short line of many': ['line: MzEfYyjiWA4R!', [pem], 'line: [redacted]!'],
  'JSON-escaped': [JSON.stringify({ pem }), [pem], '{"pem":"[redacted]\\n"}'],
  'JSON within JSON': [
    JSON.stringify(JSON.stringify({ a: 'p"w\\d-1234' })),
    ['p"w\\d-1234'],
    '"{\\"a\\":\\"[redacted]\\"}"',
  ],
  'JSON with escapes that need not be': [
    '{"a":"https:\\/\\/u:p\\u0040h\\u00e9"}',
    ['https://u:p@hé'],
    '{"a":"[redacted]"}',
  ],
  'URI-escaped': [`?k=${encodeURIComponent('p@ss/wörd 1')}&x`, ['p@ss/wörd 1'], '?k=[redacted]&x'],
  'in a form': ['k=p%40ss%2fword+1&x', ['p@ss/word 1'], 'k=[redacted]&x'],
  'in hexadecimal': [`0x${Buffer.from(secret).toString('hex').toUpperCase()}.`, [secret], '0x[redacted].'],
  'one that begins with another': [
    'x=abcdef-and-the-rest-of-it',
    ['abcdef', 'abcdef-and-the-rest-of-it'],
    'x=[redacted]',
  ],
  'cut at the end': ['bad key hunter2-corr', [secret], 'bad key [redacted]'],
  'cut, with the mark of it': [
    'bad key hunter2-corr…; once more …rect-horse',
    [secret],
    'bad key [redacted]…; once more …[redacted]',
  ],
  'cut at the beginning': ['rect-horse is bad', [secret], '[redacted] is bad'],
  'a part of a long one': [`saw ${body.slice(5, 25)} here`, [pem], 'saw [redacted] here'],
  'a token': [`tok=${token};`, [], 'tok=[redacted];'],
  'a token with a colour inside': [`tok=${token.slice(0, 20)}\u001B[0m${token.slice(20)}`, [], 'tok=[redacted]'],
  'a token in base64': [`b=${Buffer.from(token).toString('base64')};`, [], 'b=[redacted]==;'],
  'a token in base64, with a user before it': [
    `Basic ${Buffer.from(`agent:${token}\n`).toString('base64')}`,
    [],
    'Basic YWdlbnQ6[redacted]o=',
  ],
  'a token in hexadecimal': [`x=${Buffer.from(token).toString('hex')};`, [], 'x=[redacted];'],
  'a short value, which stands everywhere': ['exit on error', ['on'], 'exit on error'],
  'nothing of the kind': ['exit 1: no such file\n  at x', [secret, pem], 'exit 1: no such file\n  at x'],
}

test.each(Object.entries(cases))('%s', (_, [said, secrets, shown]) => {
  expect(redactor(secrets)(said)).toBe(shown)
})

test('base64 is found at each offset, in both alphabets, wrapped or cut', () => {
  for (const before of ['', 'x', 'xy', 'user:'])
    for (const alphabet of ['base64', 'base64url'] as const) {
      const said = Buffer.from(`${before}${secret}>>??~~${secret}\n`).toString(alphabet)
      for (const text of [said, said.replaceAll(/(.{20})/g, '$1\n'), `auth:${said}`, said.slice(3)]) {
        const shown = redactor([secret])(text)
        for (const start of [0, 1, 2, 3])
          expect(
            Buffer.from(shown.replaceAll('[redacted]', '****').slice(start), 'base64').toString('latin1'),
          ).not.toContain(secret.slice(0, 12))
        expect(shown).toContain('[redacted]')
      }
    }
})

/** Ways in which programs write a value down. */
const written = fc.constantFrom<(value: string) => string>(
  (value) => value,
  (value) => value.trim(),
  (value) => value.replaceAll('\n', '\r\n'),
  (value) => JSON.stringify(value),
  (value) => JSON.stringify({ a: JSON.stringify(value) }),
  (value) => encodeURIComponent(value),
  (value) => Buffer.from(value).toString('base64'),
  (value) => Buffer.from(`ab${value}`).toString('base64url'),
  (value) => Buffer.from(value).toString('hex'),
  (value) => Array.from(value).join('\u001B[1m'),
  (value) => Array.from(value).join('\u202E'),
)
const value = fc
  .array(
    fc.string({
      unit: fc.constantFrom(...Array.from('abcdefghijkmnpqrstuvwxyzÄß😀"\\/%+= ')),
      minLength: 9,
      maxLength: 40,
    }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((lines) => lines.map((line) => `Z${line.trim()}Z`).join('\n'))
  .filter((text) => Buffer.byteLength(text.replaceAll(/\s/g, '')) >= 10)

test('no way of writing a value shows any of its lines', () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), written, fc.boolean(), (values, write, lineEnd) => {
      const secrets = values.map((each) => (lineEnd ? `${each}\n` : each))
      const said = values.map((each) => `<${write(each)}>`).join(' said ')
      const shown = redactor(secrets)(said)
      const read = [shown, ...escapesOf(shown)].map((each) => each.replaceAll(/\s/g, ''))
      for (const line of values.flatMap((each) => each.split('\n')))
        if (line.replaceAll(/\s/g, '').length >= 8)
          for (const each of read) expect(each).not.toContain(line.replaceAll(/\s/g, ''))
    }),
    { numRuns: 500 },
  )
})

function escapesOf(shown: string): string[] {
  const runs = shown.match(/[\w+/-]{8,}/g) ?? []
  const decoded = runs.flatMap((each) => {
    const bytes = [0, 1, 2, 3].map((start) => Buffer.from(each.slice(start), 'base64'))
    return bytes.concat(Buffer.from(each, 'hex')).map(String)
  })
  const unescaped = shown.replaceAll(/\\(.)/g, '$1')
  return [
    ...decoded,
    unescaped,
    unescaped.replaceAll(/\\(.)/g, '$1'),
    decodeURIComponent(shown.replaceAll(/%(?![0-9A-F]{2})/g, '')),
  ]
}

test('what is thrown is cleaned with its causes, and stays what it is', () => {
  const cause = Object.assign(new RangeError(`refused: ${secret}`), { statusCode: 400 })
  const thrown = new AggregateError([new Error(secret)], `engine: \u001B[1m${secret}`, { cause })
  scrub(thrown, redactor([secret]))
  expect(thrown.message).toBe('engine: [redacted]')
  expect(cause).toMatchObject({ name: 'RangeError', message: 'refused: [redacted]', statusCode: 400 })
  expect([thrown.stack, cause.stack, String(thrown.errors[0])].join()).not.toContain(secret)
  const aborted = AbortSignal.abort().reason
  expect(() => scrub(aborted, () => 'clean')).not.toThrow()
})

test('many and large values cost a bounded time; beyond all measure nothing is shown', () => {
  const values = Array.from({ length: 100 }, () => randomBytes(6144).toString('base64'))
  const text = `${'word info\n'.repeat(1600)}${values[7]?.slice(100, 200)}`
  const began = process.cpuUsage()
  expect(redactor(values)(text)).toMatch(/info\n\[redacted\]$/)
  const { user, system } = process.cpuUsage(began)
  expect((user + system) / 1000).toBeLessThan(1000)
  expect(redactor(['a'.repeat(2 ** 21 + 1)])('anything at all')).toBe('[redacted]')
})
