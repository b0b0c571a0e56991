import { unguarded } from '../backend.ts'
import { expect, test } from 'vitest'
import type { Backend } from '../backend.ts'
import { ExternalBackend } from './backend.ts'

test('there is never an instance, and nothing to wait for', async () => {
  const backend: Backend = new ExternalBackend()
  const ref = { uid: 'u', namespace: 'n', name: 'w' }
  const limits = { memoryBytes: 1, cpus: 1, pids: 1, readOnlyRoot: true, hostAccess: [] }
  const spec = { ref, specHash: 'h', image: '', runtime: 'external', env: {}, files: [], token: 't', limits }
  const stop = new AbortController()
  for (let twice = 0; twice < 2; twice++) {
    expect(await backend.observe(ref, stop.signal)).toEqual({ state: 'absent' })
    expect(await backend.ensure(spec, stop.signal, unguarded)).toEqual({ state: 'absent' })
    expect(await backend.resetSessions(spec, stop.signal, unguarded)).toBe('kept')
    expect(await backend.prepare(spec, stop.signal)).toBeUndefined()
    await expect(backend.adopt(ref, 'x', stop.signal, unguarded)).rejects.toMatchObject({ reason: 'AdoptionRefused' })
    expect(await backend.remove(ref, 'delete', stop.signal, unguarded)).toBe('gone')
  }
  expect(await backend.logs(ref, 100, stop.signal)).toBe('')
  expect(await Array.fromAsync(backend.owned(stop.signal))).toEqual([])
  const told = Array.fromAsync(backend.changes(stop.signal))
  stop.abort()
  expect(await told).toEqual([])
})
