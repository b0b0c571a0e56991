import type { InstanceRef, InstanceSpec } from '../../src/backends/backend.ts'

export const never = new AbortController().signal

export const refOf = (uid: string): InstanceRef => ({ uid, namespace: 'contract', name: `ws-of-${uid.slice(0, 8)}` })

export const specOf = (image: string, uid: string, env: Record<string, string> = {}): InstanceSpec => ({
  ref: refOf(uid),
  specHash: 'hash-1',
  image,
  runtime: 'probe',
  env,
  files: [
    { path: 'config.yaml', content: 'name: probe\n' },
    { path: 'prompts/system.md', content: Buffer.from('Be kind.\n'), mode: 0o600 },
  ],
  token: `token-of-${uid}`,
  inboundSecret: `secret-of-${uid}`,
  limits: { memoryBytes: 256 << 20, cpus: 1, pids: 64, readOnlyRoot: false, hostAccess: [] },
})
