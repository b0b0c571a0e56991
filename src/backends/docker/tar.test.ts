import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { tarOf } from './tar.ts'

const long = `${'d'.repeat(120)}/${'f'.repeat(90)}`

test('the machine’s own tar reads what was written', () => {
  const archive = tarOf([
    { path: 'configs/', mode: 0o755, owner: 1000 },
    { path: 'configs/a b.md', content: 'héllo', mode: 0o644, owner: 1000 },
    { path: 'configs/.auth_token', content: Buffer.alloc(600, 'x'), mode: 0o600, owner: 1000 },
    { path: long, content: '', mode: 0o644, owner: 0 },
  ])
  const listing = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], { input: archive, encoding: 'utf8' })
  const lines = listing
    .trim()
    .split('\n')
    .map((line) => line.replaceAll(/\s+/g, ' '))
  expect(lines[0]).toMatch(/^drwxr-xr-x 1000\/1000 0 .* configs\/$/)
  expect(lines[1]).toMatch(/^-rw-r--r-- 1000\/1000 6 .* configs\/a b.md$/)
  expect(lines[2]).toMatch(/^-rw------- 1000\/1000 600 .* configs\/.auth_token$/)
  expect(lines[3]).toContain(long)
  const content = execFileSync('tar', ['-xOf', '-', 'configs/a b.md'], { input: archive, encoding: 'utf8' })
  expect(content).toBe('héllo')
})

test('a path that no header holds is refused', () => {
  expect(() => tarOf([{ path: 'x'.repeat(101), mode: 0o644, owner: 0 }])).toThrow(RangeError)
})
