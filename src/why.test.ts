import { expect, it, test } from 'vitest'
import { failureText, longestWhy, why, widthOf } from './why.ts'

const node = `node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module '/nope.js'
    at Function._resolveFilename (node:internal/modules/cjs/loader:1225:15)
    at Function._load (node:internal/modules/cjs/loader:1055:27)
    at TracingChannel.traceSync (node:diagnostics_channel:322:14)
    at wrapModuleLoad (node:internal/modules/cjs/loader:220:24)
    at Function.executeUserEntryPoint [as runMain] (node:internal/modules/run_main:170:5)
    at node:internal/main/run_main_module:36:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: []
}

Node.js v24.1.0`
const python = `Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    import crewai
ModuleNotFoundError: No module named 'crewai'`
const go = `2026/05/01 listening
panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
main.main()
	/app/main.go:8 +0x1d`
const logged = `{"level":30,"msg":"starting"}
{"level":50,"msg":"cannot register","err":{"type":"Error","message":"connect ECONNREFUSED 127.0.0.1:8080"}}`

test.each([
  [node, "Error: Cannot find module '/nope.js'"],
  [python, "ModuleNotFoundError: No module named 'crewai'"],
  [go, 'panic: runtime error: index out of range [3] with length 3'],
  [logged, 'cannot register: connect ECONNREFUSED 127.0.0.1:8080'],
  ['sh: 1: /agent: not found', 'sh: 1: /agent: not found'],
  ['(node:1) DeprecationWarning: Error: old\nall is well\nbye', 'bye'],
  ['2026-05-01T10:00:00.1Z ERROR the key was rejected\nbye', 'ERROR the key was rejected'],
  ['Killed', 'Killed'],
])('of an output the line that names the error is the cause', (output, cause) => {
  expect(why('Attempt 3 failed', failureText('exit code 1', output))).toBe(`Attempt 3 failed: exit code 1: ${cause}`)
  expect(why(failureText('exit code 1', output))).toBe(`exit code 1: ${cause}`)
})

it('finds the cause in a row that was written before, with the end of the output alone', () => {
  expect(why(`exit code 1; last output: …loader:1225:15) | TypeError: x is not a function | at y | }`)).toBe(
    'exit code 1: TypeError: x is not a function',
  )
})

it('keeps the line that names the error, however much was written after it', () => {
  const text = failureText('exit code 1', `${node}\n${'and more\n'.repeat(200)}`)
  expect(text).toContain("last output: Error: Cannot find module '/nope.js' | …")
  expect(text.length).toBeLessThan(650)
  expect(why(text)).toBe("exit code 1: Error: Cannot find module '/nope.js'")
  expect(failureText('exit code 0', ' \n')).toBe('exit code 0')
})

it('is never wider than it may be, and says that there was more', () => {
  const cause = `spec.model "m" is not one of runtime "r": it has ${'model, '.repeat(40)}`
  expect(why('Stalled', cause)).toMatch(
    /^Stalled: spec\.model "m" is not one of runtime "r": it has (?:model, )+model…$/,
  )
  const long = why('w'.repeat(300), 'c'.repeat(300))
  expect([widthOf(long), long]).toEqual([longestWhy, `${'w'.repeat(57)}…: ${'c'.repeat(59)}…`])
  expect(why('w'.repeat(300), 'no such file')).toMatch(/^w+…: no such file$/)
  expect(widthOf(why('部屋'.repeat(50), '理由'.repeat(50)))).toBeLessThanOrEqual(longestWhy)
})

it('says the same when it is shortened again', () => {
  for (const text of [why('Stalled', 'word '.repeat(60)), why(failureText('exit code 1', node)), why('a', 'b')])
    expect(why(text)).toBe(text)
})

it('leaves what is short as it is, on one line', () => {
  expect(why('Online: the agent is registered and beats')).toBe('Online: the agent is registered and beats')
  expect(why('Online', 'a\nb')).toBe('Online: a | b')
  expect(why('', 'cause')).toBe('cause')
})
