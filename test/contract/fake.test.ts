import { expect, test } from 'vitest'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { RetryAfter } from '../../src/errors.ts'
import { adoptionContract, type TargetWithStrangers } from './adoption.contract.ts'
import { backendContract, never, specOf } from './backend.contract.ts'

/** Plays the probe: says what it would have found, and leaves when it is told to. */
function play(backend: () => FakeBackend, spec: InstanceSpec): void {
  const { uid } = spec.ref
  const volume = backend().volumes.get(uid)
  const starts = (volume?.get('starts') ?? '').length + 1
  volume?.set('starts', '.'.repeat(starts))
  const kept = spec.sessionsPath === undefined ? undefined : backend().sessions.get(uid)
  const sessions = kept?.set(`session-${starts}`, 'x').size
  const modes = { tokenMode: '600', secretMode: '600', promptMode: '600' }
  const read = (path: string) => volume?.get(path)
  const [token, secret] = [read('.auth_token'), read('.platform_inbound_secret')]
  const [config, prompt] = [read('config.yaml'), read('prompts/system.md')]
  const line = `probe ${JSON.stringify({ token, secret, config, prompt, ...modes, starts, sessions })}\n`
  const code = spec.env['PROBE_EXIT']
  const bye = code === undefined ? '' : `leaving with ${code}\n`
  backend().output.set(uid, (backend().output.get(uid) ?? '') + line + bye)
  if (code !== undefined) backend().kill(uid, Number(code))
}

for (const slowRemoval of [false, true]) {
  const open = async (): Promise<TargetWithStrangers> => {
    const backend: FakeBackend = new FakeBackend({ slowRemoval, onRunning: (spec) => play(() => backend, spec) })
    backend.setImage('nowhere:1', 'missing')
    return {
      backend,
      reopen: () => backend.seenBy('fake'),
      foreign: () => backend.seenBy('another'),
      image: '',
      missingImage: 'nowhere:1',
      stranger: async () => ({ id: backend.stranger(), end: async () => {} }),
      kill: async (uid) => {
        const at = performance.now()
        backend.kill(uid)
        return at
      },
      things: async (uid) => [
        ...(backend.has(uid) ? ['instance'] : []),
        ...(backend.volumes.has(uid) ? ['volume'] : []),
      ],
      close: async () => {},
    }
  }
  backendContract(slowRemoval ? 'slow fake' : 'fake', open)
  adoptionContract(slowRemoval ? 'slow fake' : 'fake', open)
}

test('a slow image is pulled once, for everyone, until it is there', async () => {
  const backend = new FakeBackend()
  backend.setImage('slow:1', 'slow')
  const ask = () => backend.prepare({ image: 'slow:1' }, never)
  for (let each = 0; each < 3; each++) await expect(ask()).rejects.toBeInstanceOf(RetryAfter)
  await expect(backend.ensure(specOf('slow:1', 'u'), never)).rejects.toBeInstanceOf(RetryAfter)
  expect(backend.pulls.get('slow:1')).toBe(1)
  backend.setImage('slow:1', 'there')
  await ask()
  backend.setImage('closed:1', 'unauthorized')
  await expect(backend.prepare({ image: 'closed:1' }, never)).rejects.toMatchObject({ reason: 'ImageUnauthorized' })
})
