import type { InstanceSpec } from '../../src/backends/backend.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { backendContract, type Target } from './backend.contract.ts'

/** Plays the probe: says what it would have found, and leaves when it is told to. */
function play(backend: () => FakeBackend, spec: InstanceSpec): void {
  const { uid } = spec.ref
  const volume = backend().volumes.get(uid)
  const starts = (volume?.get('starts') ?? '').length + 1
  volume?.set('starts', '.'.repeat(starts))
  const modes = { tokenMode: '600', promptMode: '600' }
  const [token, config, prompt] = ['.auth_token', 'config.yaml', 'prompts/system.md'].map((path) => volume?.get(path))
  const line = `probe ${JSON.stringify({ token, config, prompt, ...modes, starts })}\n`
  const code = spec.env['PROBE_EXIT']
  const bye = code === undefined ? '' : `leaving with ${code}\n`
  backend().output.set(uid, (backend().output.get(uid) ?? '') + line + bye)
  if (code !== undefined) backend().kill(uid, Number(code))
}

for (const slowRemoval of [false, true])
  backendContract(slowRemoval ? 'slow fake' : 'fake', async (): Promise<Target> => {
    const backend: FakeBackend = new FakeBackend({ slowRemoval, onRunning: (spec) => play(() => backend, spec) })
    return {
      backend,
      reopen: () => backend.seenBy('fake'),
      foreign: () => backend.seenBy('another'),
      image: '',
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
  })
